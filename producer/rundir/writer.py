"""
Writes a run directory: one folder with everything that a run recorded. Reports are recomputed from it.

    manifest.json      settings, machine, versions and status; docs/run-directory.md describes each key
    trials.jsonl       one line a trial
    records/*.parquet  one row a delivery of a job, a file a trial, several of a long one
    sent/*.parquet     one row a job: when it was due, sent and accepted
    samples/*.parquet  one row a node and second
    processes/*.parquet  one row a process of a node and two seconds
    pings.jsonl        one line a control ping
    events.jsonl       one line an event: a node lost, a child replaced, a load changed
    logs/              the output of the nodes
    summary.json       the figures and verdicts; report.md the same for reading

Each file is complete as soon as it is there, so a run that is cut short keeps the trials that had ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
from msgspec import to_builtins

from producer.errors import InvalidRunError, UsageError
from producer.files import replaced
from producer.interrupts import held
from producer.rundir.events import Event, EventLog
from producer.rundir.schema import EVENTS, FORMAT, RUNNING, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from poolrace.clock import BrokerClock
    from producer.rundir.trials import Trial


class RunWriter:
    """
    Writes a run directory, part by part, while the run goes on.

    Attributes:
        path: The folder.
        manifest: The manifest so far.
        events: The log of events during the run.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest: dict[str, Any] = {"format": FORMAT, "status": RUNNING, **manifest}
        self.events = EventLog(self._add_event)
        self._parts: Counter[tuple[str, int]] = Counter()

    @classmethod
    def create(cls, parent: Path, name: str, manifest: Mapping[str, Any]) -> RunWriter:
        """
        Make a new directory in a parent folder, named by the time and a word or two.

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

    @classmethod
    def reopen(cls, path: Path) -> RunWriter:
        """
        Open a run that has ended, in order or not, to go on with it.

        Raises:
            UsageError: If it cannot be read or written to.
        """
        try:
            writer = cls(path, json.loads((path / "manifest.json").read_text()))
            writer.update_manifest(status=RUNNING, reason=None, ended_at=None)
        except (OSError, ValueError, InvalidRunError) as error:
            raise UsageError(f"{path}: cannot be taken on ({error}). Copy the run directory, or race anew.") from error
        return writer

    @property
    def next_trial(self) -> int:
        """The number of the next trial."""
        return 1 + max((json.loads(line)["trial"] for line in _lines(self.path / "trials.jsonl")), default=-1)

    def move_to(self, clock: BrokerClock) -> None:
        """Move events and the run's beginning to the broker's clock, which is known once there is a broker."""
        self.events.now = clock.now
        if not self.next_trial and (began_at := self.manifest.get("began_at")):
            self.update_manifest(began_at=clock.at(began_at))

    @property
    def logs(self) -> Path:
        """The folder for the output of the fleet's processes."""
        return self.path / "logs"

    def discard_if_bare(self) -> bool:
        """Remove the directory if it holds no trial and no log; return true if it was removed."""
        # Somebody may have removed the folder meanwhile.
        has_log = self.logs.is_dir() and any(self.logs.iterdir())
        if has_log or (self.path / "trials.jsonl").exists():
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        return True

    def update_manifest(self, **changes: Any) -> None:
        """Change keys of the manifest and write it again, whole or not at all."""
        self.manifest.update(to_builtins(changes))
        self.write_text("manifest.json", json.dumps(self.manifest, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run, in one step."""
        with _space_for(self.path / name), replaced(self.path / name) as file:
            file.write(text.encode())

    def add_trial(self, trial: Trial) -> None:
        """Add a trial that has ended."""
        self._append("trials.jsonl", [to_builtins(trial)])

    def add_pings(self, pings: Iterable[Mapping[str, Any]]) -> None:
        """Add control pings."""
        self._append("pings.jsonl", pings)

    def _add_event(self, event: Event) -> None:
        with held():
            self._append(EVENTS, [to_builtins(event)])

    def add_table(self, table: str, trial: int, frame: pl.DataFrame) -> None:
        """Add a trial's part of one of `TABLES`; an empty one leaves no file."""
        if frame.height:
            path = self.path / table / f"{trial:05d}-{self._parts[table, trial]:03d}.parquet"
            with _space_for(path), replaced(path) as file:
                frame.write_parquet(file)
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


def mend(path: Path) -> None:
    """
    Remove what a process that was killed left half written in a run directory: half a line, tables without a trial.

    Raises:
        UsageError: If it cannot be read or written to.
    """
    try:
        for name in ("trials.jsonl", "pings.jsonl", EVENTS):
            _cut_after_last_line(path / name)
        known = {json.loads(line)["trial"] for line in _lines(path / "trials.jsonl")}
        for table in TABLES:
            for part in (path / table).glob("*.parquet"):
                if int(part.name.split("-")[0]) not in known:
                    part.unlink()
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: cannot be taken on ({error}). Copy the run directory, or race anew.") from error


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """
    Keep a run directory for this process while it is measured.

    Raises:
        UsageError: If another process measures it.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(folder)
        raise UsageError(f"{path}: is being measured right now. Wait until that has ended.") from error
    try:
        yield
    finally:
        os.close(folder)


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _cut_after_last_line(file: Path) -> None:
    if file.exists() and not (raw := file.read_bytes()).endswith(b"\n"):
        with file.open("rb+") as opened:
            opened.truncate(raw.rfind(b"\n") + 1)


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


def as_json(value: Any) -> str:
    """Return JSON with a line for each key, and refuse values that JSON does not have, such as NaN."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
