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
    from collections.abc import Iterator
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


def note(path: str | Path, job: str, what: str, node: str) -> None:
    """
    Add a line.

    Raises:
        OSError: If it cannot be written.
        ValueError: If it would be too long, or a name has a tab or a line break in it.
    """
    fields = (job, what, f"{time.time():.6f}", node, str(os.getpid()), str(threading.get_native_id()))
    line = "\t".join(fields) + "\n"
    if len(line) > MAX_LINE or line.count("\t") != FIELDS - 1 or line.count("\n") != 1:
        raise ValueError(f"job {job!r} on {node!r}: cannot be a line of the ledger; names are short and of one line.")
    # Opened for each line: a child that was forked or spawned needs nothing of its parent's.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(path: Path) -> Iterator[Note]:
    """
    Read all whole lines; none if there is no file.

    Raises:
        ValueError: If a line is no line of a ledger.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            return  # the disk was full
        job, what, at, node, pid, thread = line.rstrip("\n").split("\t")
        yield Note(job, what, float(at), node, int(pid), int(thread))
