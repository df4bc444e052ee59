"""
A run directory: one folder with everything a run recorded. Reports are recomputed from it.

    manifest.json      what was asked, on what, with which versions; status; docs/run-directory.md describes each key
    trials.jsonl       one line a trial
    records/*.parquet  one row a delivery of a job, a file a trial, written when the trial ends
    sent/*.parquet     one row a job: when it was due, sent and accepted
    samples/*.parquet  one row a node and second
    pings.jsonl        one line a control ping
    logs/              what the nodes wrote
    summary.json       the figures and verdicts; report.md the same for reading

Each file is complete as soon as it is there, so a run that is cut short keeps the trials that had ended.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.collect import RECORD_SCHEMA, SAMPLE_SCHEMA
from producer.errors import InvalidRunError, UsageError
from producer.publish import SENT_SCHEMA
from producer.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

FORMAT = 1
"""Of the run directory. A reader refuses other versions."""

TABLES: Mapping[str, Mapping[str, Any]] = {"records": RECORD_SCHEMA, "sent": SENT_SCHEMA, "samples": SAMPLE_SCHEMA}
RUNNING, COMPLETE, INCOMPLETE, INVALID = "running", "complete", "incomplete", "invalid"


class RunWriter:
    """Writes a run directory, part by part, while the run goes on."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self._manifest: dict[str, Any] = {"format": FORMAT, "status": RUNNING, **manifest}

    @classmethod
    def create(cls, parent: Path, name: str, manifest: Mapping[str, Any]) -> RunWriter:
        """
        Make a new directory below a parent, named by the time and what it holds.

        Raises:
            UsageError: If it cannot be written to.
        """
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        path = parent / f"{stamp}-{name}"
        try:
            for folder in (*TABLES, "logs"):
                (path / folder).mkdir(parents=True)
            writer = cls(path, manifest)
            writer.update_manifest()
        except OSError as error:
            raise UsageError(
                f"--out {parent}: a run directory cannot be written there ({error.strerror or error}). "
                "Name a folder that can, e.g. --out /tmp/runs."
            ) from error
        return writer

    @property
    def logs(self) -> Path:
        """Where the fleet's processes write."""
        return self.path / "logs"

    def discard_if_bare(self) -> bool:
        """Remove the directory if it holds no trial and no log; true if it is gone."""
        if any(self.logs.iterdir()) or (self.path / "trials.jsonl").exists():
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        return True

    def update_manifest(self, **changes: Any) -> None:
        """Change keys of the manifest and write it anew, whole or not at all."""
        self._manifest.update(changes)
        self.write_text("manifest.json", json.dumps(self._manifest, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """A text file of the run, replaced in one step."""
        target = self.path / name
        draft = target.with_suffix(".part")
        with _space_for(target):
            draft.write_text(text)
            draft.replace(target)

    def add_trial(self, trial: Trial) -> None:
        """Note a trial that has ended."""
        self._append("trials.jsonl", [trial.to_dict()])

    def add_pings(self, pings: Iterable[Mapping[str, Any]]) -> None:
        """Note control pings."""
        self._append("pings.jsonl", pings)

    def add_table(self, table: str, part: int, frame: pl.DataFrame) -> None:
        """A part of `records`, `sent` or `samples`; an empty one leaves no file."""
        if frame.height:
            target = self.path / table / f"{part:05d}.parquet"
            draft = target.with_suffix(".part")
            with _space_for(target):
                frame.write_parquet(draft)
                draft.replace(target)

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        target = self.path / name
        with _space_for(target), target.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


@contextmanager
def _space_for(target: Path) -> Iterator[None]:
    """Turn a failure to write into a message that names the file and the way out."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:  # polars raises its own kinds for a full disk
        raise InvalidRunError(
            f"{target} cannot be written ({error}). Make room, or name another place with --out. "
            "The trials that had ended are kept and the run is incomplete."
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    A run directory, read.

    Attributes:
        path: Where it is.
        manifest: What was asked, on what.
        trials: The trials that ended, in order.
        records: All parts, in the layout of `RECORD_SCHEMA`.
        sent: All parts, in the layout of `SENT_SCHEMA`.
        samples: All parts, in the layout of `SAMPLE_SCHEMA`.
        pings: Control pings.
    """

    path: Path
    manifest: Mapping[str, Any]
    trials: Sequence[Trial]
    records: pl.DataFrame
    sent: pl.DataFrame
    samples: pl.DataFrame
    pings: Sequence[Mapping[str, Any]]


def read_run(path: Path) -> Run:
    """
    Read a run directory.

    Raises:
        UsageError: If it is none, is of another version, or is damaged; with the file.
    """
    manifest = _read_manifest(path)
    return Run(
        path=path,
        manifest=manifest,
        trials=[_trial(path, line) for line in _read_lines(path / "trials.jsonl")],
        records=_read_table(path, "records"),
        sent=_read_table(path, "sent"),
        samples=_read_table(path, "samples"),
        pings=_read_lines(path / "pings.jsonl"),
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    if not file.is_file():
        raise UsageError(
            f"{path} is no run directory: it has no manifest.json. Give a folder such as runs/<time>-race."
        )
    manifest = _parse(file, file.read_text(errors="replace"))
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT:
        raise UsageError(
            f"{file}: format {version!r} is not {FORMAT}, the one this poolrace reads. Use the one it is from."
        )
    return dict(manifest)


def _read_lines(file: Path) -> list[Any]:
    if not file.exists():
        return []
    return [_parse(file, line) for line in file.read_text(errors="replace").splitlines()]


def _parse(file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(file, error) from error


def _trial(path: Path, line: Any) -> Trial:
    try:
        return Trial.from_dict(line)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _damaged(path / "trials.jsonl", error) from error


def _read_table(path: Path, table: str) -> pl.DataFrame:
    schema = pl.Schema(TABLES[table])
    parts = []
    for file in sorted((path / table).glob("*.parquet")):
        try:
            part = pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(file, error) from error
        if part.schema != schema:
            raise _damaged(file, "its columns are not those of this table; see docs/run-directory.md")
        parts.append(part)
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def _damaged(file: Path, why: object) -> UsageError:
    return UsageError(f"{file} is damaged or not ours: {why}. Copy the run directory again from where it was made.")


def as_json(value: Any) -> str:
    """JSON with a line a key, and nothing that JSON does not know."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
