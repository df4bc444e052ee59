"""Reads a run directory, and refuses one that is damaged or of another format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import polars as pl

from producer.errors import UsageError
from producer.rundir.events import Event
from producer.rundir.manifest import Manifest
from producer.rundir.run import Run
from producer.rundir.schema import EVENTS, FORMAT, TABLES
from producer.rundir.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PING_KEYS = ("trial", "rtt_s", "timeout_s")
"""The keys that a ping must have."""

T = TypeVar("T")


def read_run(path: Path) -> Run:
    """
    Read a run directory.

    Raises:
        UsageError: If it is no run directory, is of another format, or is damaged; the message names the file.
    """
    return Run(
        path=path,
        manifest=read_manifest(path),
        trials=_read_each(path / "trials.jsonl", Trial),
        records=_read_table(path, "records"),
        sent=_read_table(path, "sent"),
        samples=_read_table(path, "samples"),
        children=_read_table(path, "children"),
        processes=_read_table(path, "processes"),
        pings=[_ping(where, value) for where, value in _read_lines(path / "pings.jsonl")],
        events=_read_each(path / EVENTS, Event),
    )


def read_trial(path: Path, trial: Trial) -> Run:
    """
    Read one trial of a run directory, without the others.

    Raises:
        UsageError: As in `read_run`.
    """
    tables: dict[str, Any] = {table: _read_table(path, table, f"{trial.trial:05d}-*") for table in TABLES}
    return Run(path=path, manifest=read_manifest(path), trials=[trial], **tables, pings=[])


def read_manifest(path: Path) -> Manifest:
    """
    Return the manifest of a run, which may still go on.

    Raises:
        UsageError: As `read_run`.
    """
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
    return _convert(file, manifest, Manifest)


def _ping(where: str, value: Any) -> dict[str, Any]:
    missing = [key for key in PING_KEYS if not isinstance(value, dict) or key not in value]
    if missing:
        raise _damaged(where, f"it lacks {', '.join(missing)}")
    return dict(value)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise _damaged(file, error) from error


def _read_lines(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield each line's place, for errors, and what it holds; nothing if there is no file."""
    if file.exists():
        for number, line in enumerate(_text(file).splitlines(), start=1):
            where = f"{file} line {number}"
            yield where, _parse(where, line)


def _parse(where: Path | str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(where, error) from error


def _read_each(file: Path, kind: type[T]) -> list[T]:
    """Return a noun for each line of a file; none if there is no file."""
    return [_convert(where, value, kind) for where, value in _read_lines(file)]


def _convert(where: Path | str, value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _damaged(where, error) from error


def _read_table(path: Path, table: str, parts_named: str = "*") -> pl.DataFrame:
    schema = pl.Schema(TABLES[table])
    parts = []
    for file in sorted((path / table).glob(f"{parts_named}.parquet")):
        try:
            part = pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(file, error) from error
        if part.schema != schema:
            raise _damaged(file, "its columns are not those of this table; see docs/run-directory.md")
        parts.append(part)
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def _damaged(file: Path | str, why: object) -> UsageError:
    return UsageError(f"{file} is damaged or not ours: {why}. Copy the run directory again from where it was made.")
