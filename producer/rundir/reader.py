"""Reads a run directory, and refuses one that is damaged or of another format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.errors import UsageError
from producer.rundir.events import Event, told_by_manifest
from producer.rundir.run import Run
from producer.rundir.schema import EVENTS, FORMAT, TABLES
from producer.rundir.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


MANIFEST_KEYS = ("run_id", "status", "settings")

PING_KEYS = ("trial", "rtt_s", "timeout_s")

EVENT_KEYS = ("at", "lane", "node", "kind", "detail")
"""The keys that a reader needs."""

LATER: Mapping[str, Sequence[str]] = {"samples": ("private_bytes",)}
"""Columns that came without a new format: a run from before them is read with nulls there."""


def read_run(path: Path) -> Run:
    """
    Read a run directory.

    Raises:
        UsageError: If it is no run directory, is of another format, or is damaged; the message names the file.
    """
    manifest = _read_manifest(path)
    trials = [_trial(path, line) for line in _read_lines(path / "trials.jsonl")]
    return Run(
        path=path,
        manifest=manifest,
        trials=trials,
        records=_read_table(path, "records"),
        sent=_read_table(path, "sent"),
        samples=_read_table(path, "samples"),
        children=_read_table(path, "children"),
        pings=[_with_keys(path / "pings.jsonl", line, PING_KEYS) for line in _read_lines(path / "pings.jsonl")],
        events=_read_events(path, manifest, trials),
    )


def read_trial(path: Path, trial: Trial) -> Run:
    """
    Read one trial of a run directory, without the others.

    Raises:
        UsageError: As in `read_run`.
    """
    records, sent, samples, children = (_read_table(path, table, f"{trial.trial:05d}-*") for table in TABLES)
    return Run(
        path=path,
        manifest=_read_manifest(path),
        trials=[trial],
        records=records,
        sent=sent,
        samples=samples,
        children=children,
        pings=[],
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    if not file.is_file():
        raise UsageError(
            f"{path} is no run directory: it has no manifest.json. Give a folder such as runs/<time>-race."
        )
    manifest = _parse(file, _text(file))
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT:
        raise UsageError(
            f"{file}: format {version!r} is not {FORMAT}, the one this poolrace reads. Use the one it is from."
        )
    return _with_keys(file, manifest, MANIFEST_KEYS)


def _with_keys(file: Path, value: Any, keys: Sequence[str]) -> dict[str, Any]:
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise _damaged(file, f"it lacks {', '.join(missing)}")
    return dict(value)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise _damaged(file, error) from error


def _read_lines(file: Path) -> list[Any]:
    if not file.exists():
        return []
    return [_parse(file, line) for line in _text(file).splitlines()]


def _parse(file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(file, error) from error


def _read_events(path: Path, manifest: Mapping[str, Any], trials: Sequence[Trial]) -> list[Event]:
    file = path / EVENTS
    if not file.exists():
        return told_by_manifest(manifest, trials)
    return [Event.from_dict(_with_keys(file, line, EVENT_KEYS)) for line in _read_lines(file)]


def _trial(path: Path, line: Any) -> Trial:
    try:
        return Trial.from_dict(line)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _damaged(path / "trials.jsonl", error) from error


def _read_table(path: Path, table: str, parts_named: str = "*") -> pl.DataFrame:
    schema = pl.Schema(TABLES[table])
    parts = []
    for file in sorted((path / table).glob(f"{parts_named}.parquet")):
        try:
            part = pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(file, error) from error
        part = _with_later(part, table)
        if part.schema != schema:
            raise _damaged(file, "its columns are not those of this table; see docs/run-directory.md")
        parts.append(part)
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def _with_later(part: pl.DataFrame, table: str) -> pl.DataFrame:
    """A part with the columns that were not there yet when it was written, in their place."""
    missing = [name for name in LATER.get(table, ()) if name not in part.columns]
    if not missing:
        return part
    schema = TABLES[table]
    whole = part.with_columns(pl.lit(None, dtype=schema[name]).alias(name) for name in missing)
    return whole.select(*schema) if set(schema) <= set(whole.columns) else part


def _damaged(file: Path, why: object) -> UsageError:
    return UsageError(f"{file} is damaged or not ours: {why}. Copy the run directory again from where it was made.")
