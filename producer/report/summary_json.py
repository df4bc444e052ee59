"""The summary as JSON: the one door between its types and `summary.json`, and the schema that both keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from producer.analysis.summary import SCHEMA, Summary
from producer.errors import UsageError
from producer.rundir.writer import as_json

if TYPE_CHECKING:
    from producer.analysis.compare import Comparison
    from producer.analysis.fleet_answer import FleetAnswer

SCHEMA_FILE = Path("docs") / "summary.schema.json"
"""Below the root of the repository."""


def to_json(found: Summary | Comparison | FleetAnswer) -> str:
    """Return a summary, a comparison or a fleet plan as JSON, with a line a key."""
    return as_json(msgspec.to_builtins(found))


def from_json(text: str, name: str = "summary.json") -> Summary:
    """
    Return the summary that was written as JSON.

    Args:
        text: The JSON.
        name: Of the file, for errors.

    Raises:
        UsageError: If it is none, or of another version; says where it differs.
    """
    try:
        plain = json.loads(text)
        version = plain.get("schema") if isinstance(plain, dict) else None
        if version != SCHEMA:
            raise UsageError(
                f"{name}: schema {version!r} is not {SCHEMA}, the one this poolrace reads. Write it again: "
                "poolrace report RUN"
            )
        return msgspec.convert(plain, Summary)
    except ValueError as error:  # of json, and msgspec's own
        raise UsageError(f"{name} is no summary: {error}. Write it again: poolrace report RUN") from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of a summary, made from its types."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Summary)}
    return dict(json.loads(json.dumps(made)))  # a default that is a tuple becomes a list, as a reader sees it


def main() -> int:
    """Write the schema beside the documents: `python -m producer.report.summary_json`, at the repository's root."""
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
