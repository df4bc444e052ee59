"""
The ledger of effects: what jobs have done, a line each, in a file that no broker and no kill touches.

A line is one write at the end of the file, so lines of several processes never mix, and one that was written stays
whatever becomes of its writer. A job may note the same twice; who reads counts identities. Standard library only.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "POOLRACE_EFFECTS"
"""The environment variable of a node with the path of the file."""

BEGUN, DONE, FAILED, RETRIED = "begun", "done", "failed", "retried"
"""
What is noted of a job: that it has begun, that its effect is there, that its node gave it up as failed, and that the
task itself asked for another try.
"""

FIELDS = 6
MAX_LINE = 512
"""A line that is longer might not be written at once."""


class Note(NamedTuple):
    """
    A line of the ledger.

    Attributes:
        job: The identity of the job.
        what: `begun`, `done`, `failed` or `retried`.
        at: When, in seconds since the epoch, by the node's clock.
        node: The name of the node.
        pid: The process of the slot.
        thread: Its thread, by the system's number.
    """

    job: str
    what: str
    at: float
    node: str
    pid: int
    thread: int


def line(job: str, what: str, node: str) -> str:
    """
    Return a line for what this thread notes now, with its line break.

    Raises:
        ValueError: If it would be too long, or a name has a tab or a line break in it.
    """
    fields = (job, what, f"{time.time():.6f}", node, str(os.getpid()), str(threading.get_native_id()))
    made = "\t".join(fields) + "\n"
    if len(made) > MAX_LINE or made.count("\t") != FIELDS - 1 or made.count("\n") != 1:
        raise ValueError(f"job {job!r} on {node!r}: cannot be a line of the ledger; names are short and of one line.")
    return made


def note(path: str | Path, job: str, what: str, node: str) -> None:
    """
    Add a line.

    Raises:
        OSError: If it cannot be written.
        ValueError: If it would be too long, or a name has a tab or a line break in it.
    """
    add(path, line(job, what, node))


def add(path: str | Path, lines: str) -> None:
    """
    Add lines that were made before.

    Raises:
        OSError: If they cannot be written.
    """
    # Opened for each line: a child that was forked or spawned needs nothing of its parent's.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, lines.encode())
    finally:
        os.close(file)


class Ledger:
    """
    Reads a ledger while jobs write it, each line once. May be used from several threads.

    Args:
        path: The file; there may be none yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._notes: list[Note] = []
        self._done: set[str] = set()
        self._begun: dict[str, Note] = {}
        self._nodes: set[str] = set()
        self._read_bytes = 0

    def notes(self) -> list[Note]:
        """
        Return all whole lines so far, in the order in which they were written.

        Raises:
            ValueError: If a line is no line of a ledger.
        """
        with self._lock:
            self._read_on()
            return list(self._notes)

    def done(self) -> frozenset[str]:
        """Return the jobs that are done."""
        with self._lock:
            self._read_on()
            return frozenset(self._done)

    def done_count(self) -> int:
        """Return how many jobs are done."""
        with self._lock:
            self._read_on()
            return len(self._done)

    def first_begin(self, job: str) -> Note | None:
        """Return the note of when a job first began; None if it has not."""
        with self._lock:
            self._read_on()
            return self._begun.get(job)

    def has_worked(self, node: str) -> bool:
        """Return whether a node has begun a job."""
        with self._lock:
            self._read_on()
            return node in self._nodes

    def _read_on(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]  # what is left is being written, or the disk was full
        self._read_bytes += len(whole)
        for note_ in map(_note_of, whole.decode().split("\n")[:-1]):
            self._notes.append(note_)
            self._nodes.add(note_.node)
            if note_.what == DONE:
                self._done.add(note_.job)
            elif note_.what == BEGUN:
                self._begun.setdefault(note_.job, note_)


def _note_of(line: str) -> Note:
    job, what, at, node, pid, thread = line.split("\t")
    return Note(job, what, float(at), node, int(pid), int(thread))
