"""
A run directory: one folder with everything a run recorded. Reports are recomputed from it.

    manifest.json      what was asked, on what, with which versions; status; docs/run-directory.md describes each key
    trials.jsonl       one line a trial
    records/*.parquet  one row a delivery of a job, a file a trial, several of a long one
    sent/*.parquet     one row a job: when it was due, sent and accepted
    samples/*.parquet  one row a node and second
    pings.jsonl        one line a control ping
    events.jsonl       one line an event: a node lost, a child replaced, a load changed
    logs/              what the nodes wrote
    summary.json       the figures and verdicts; report.md the same for reading

Each file is complete as soon as it is there, so a run that is cut short keeps the trials that had ended.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.collect import RECORD_SCHEMA, SAMPLE_SCHEMA
from producer.errors import InvalidRunError, UsageError
from producer.events import Event, EventLog, told_by_manifest
from producer.interrupts import held
from producer.publish import SENT_SCHEMA
from producer.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

EVENTS = "events.jsonl"
"""Is there from the start: a run without it is from before events were noted."""

FORMAT = 2
"""Of the run directory. A reader refuses other versions."""

MANIFEST_KEYS = ("run_id", "status", "settings")
PING_KEYS = ("trial", "rtt_s")
EVENT_KEYS = ("at", "lane", "node", "kind", "detail")
"""What a reader cannot do without."""

TABLES: Mapping[str, Mapping[str, Any]] = {
    "records": RECORD_SCHEMA,
    "sent": SENT_SCHEMA,
    "samples": SAMPLE_SCHEMA,
    "children": RECORD_SCHEMA,
}
LATER: Mapping[str, Sequence[str]] = {"samples": ("private_bytes",)}
"""Columns that came without a new format: a run from before them is read with nulls there."""

RUNNING, COMPLETE, INCOMPLETE, INVALID = "running", "complete", "incomplete", "invalid"


class RunWriter:
    """
    Writes a run directory, part by part, while the run goes on.

    Attributes:
        path: Where it is.
        manifest: As it stands.
        events: Takes note of what happens meanwhile.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest: dict[str, Any] = {"format": FORMAT, "status": RUNNING, **manifest}
        self.events = EventLog(self._add_event)
        self._parts: Counter[tuple[str, int]] = Counter()

    @classmethod
    def create(cls, parent: Path, name: str, manifest: Mapping[str, Any]) -> RunWriter:
        """
        Make a new directory below a parent, named by the time and what it holds.

        Raises:
            UsageError: If it cannot be written to.
        """
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        path = parent / f"{stamp}-{name}"
        writer = cls(path, manifest)
        try:
            with held():
                for folder in (*TABLES, "logs"):
                    (path / folder).mkdir(parents=True)
                (path / EVENTS).touch()
                writer.update_manifest()
        except KeyboardInterrupt:
            shutil.rmtree(path, ignore_errors=True)
            raise
        except (OSError, InvalidRunError) as error:
            shutil.rmtree(path, ignore_errors=True)
            cause = error.__cause__ or error
            why = getattr(cause, "strerror", None) or cause
            raise UsageError(
                f"--out {parent}: a run directory cannot be written there ({why}). "
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
        self.manifest.update(changes)
        self.write_text("manifest.json", json.dumps(self.manifest, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """A text file of the run, replaced in one step."""
        with _draft_of(self.path / name) as draft:
            draft.write_text(text)

    def add_trial(self, trial: Trial) -> None:
        """Note a trial that has ended."""
        self._append("trials.jsonl", [trial.to_dict()])

    def add_pings(self, pings: Iterable[Mapping[str, Any]]) -> None:
        """Note control pings."""
        self._append("pings.jsonl", pings)

    def _add_event(self, event: Event) -> None:
        with held():
            self._append(EVENTS, [event.to_dict()])

    def add_table(self, table: str, trial: int, frame: pl.DataFrame) -> None:
        """A trial's part of one of `TABLES`; an empty one leaves no file."""
        if frame.height:
            part = self._parts[table, trial]
            with _draft_of(self.path / table / f"{trial:05d}-{part:03d}.parquet") as draft:
                frame.write_parquet(draft)
            self._parts[table, trial] += 1

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        target = self.path / name
        rest = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with _space_for(target), target.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(end)  # half a line would make the lines before it unreadable, too
                raise


@contextmanager
def _draft_of(target: Path) -> Iterator[Path]:
    """A file to write in a target's stead; takes its place once it is whole, and goes if it never is."""
    draft = target.with_suffix(".part")
    try:
        with _space_for(target):
            yield draft
            draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink()


@contextmanager
def _space_for(target: Path) -> Iterator[None]:
    """Turn a failure to write into a message that names the file and the way out."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:  # polars raises its own kinds for a full disk
        raise InvalidRunError(
            f"{target} cannot be written ({error}). Make room or allow it; another run goes elsewhere with --out. "
            "What had been written before is kept."
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
        children: Records of jobs that others started, each under the number of the one that was sent.
        pings: Control pings.
        events: What happened meanwhile, in the order in which it was seen.
    """

    path: Path
    manifest: Mapping[str, Any]
    trials: Sequence[Trial]
    records: pl.DataFrame
    sent: pl.DataFrame
    samples: pl.DataFrame
    children: pl.DataFrame
    pings: Sequence[Mapping[str, Any]]
    events: Sequence[Event] = ()


def read_run(path: Path) -> Run:
    """
    Read a run directory.

    Raises:
        UsageError: If it is none, is of another version, or is damaged; with the file.
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
    One trial of a run directory, without the others.

    Raises:
        UsageError: As `read_run`.
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


def as_json(value: Any) -> str:
    """JSON with a line a key, and nothing that JSON does not know."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
