"""
Writes a run directory: one folder with everything that a run recorded. Reports are recomputed from it.

    manifest.json      settings, machine, versions and status; docs/run-directory.md describes each key
    trials.jsonl       one line a trial
    records/*.parquet  one row a delivery of a job, a file a trial, several of a long one
    sent/*.parquet     one row a job: when it was due, sent and accepted
    samples/*.parquet  one row a node and second
    pings.jsonl        one line a control ping
    events.jsonl       one line an event: a node lost, a child replaced, a load changed
    logs/              the output of the nodes
    summary.json       the figures and verdicts; report.md the same for reading

Each file is complete as soon as it is there, so a run that is cut short keeps the trials that had ended.
"""

from __future__ import annotations

import json
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

    def move_to(self, clock: BrokerClock) -> None:
        """Move events and the run's beginning to the broker's clock, which is known once there is a broker."""
        self.events.now = clock.now
        if began_at := self.manifest.get("began_at"):
            self.update_manifest(began_at=clock.at(began_at))

    @property
    def logs(self) -> Path:
        """The folder for the output of the fleet's processes."""
        return self.path / "logs"

    def discard_if_bare(self) -> bool:
        """Remove the directory if it holds no trial and no log; return true if it was removed."""
        if any(self.logs.iterdir()) or (self.path / "trials.jsonl").exists():
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
