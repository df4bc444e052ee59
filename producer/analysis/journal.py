"""
Reads the journal of a Redis server, its append-only file: who took a job last, what nodes held at a fault. Pure.

The server writes down what its commands changed, in the order in which it happened. The atomic transport takes a
message in one step with the note that it is delivered; kombu's own takes it with one command and notes it with the
next. So a message that left its list without a note was taken by kombu's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from poolrace.transport_setting import ATOMIC, STOCK

Command = Sequence[bytes]

_IDENTITY = re.compile(rb'\\?"id\\?": \\?"(job-\d+)')
MARK = "poolrace.drill.strike"
"""A drill writes the number of a fault under this name while the fault strikes, so that the journal has the instant."""

UNACKED = b"unacked"
POPS = {b"rpop", b"lpop", b"lmpop", b"brpop", b"rpoplpush", b"lmove", b"lrem", b"ltrim"}


def read_journal(text: bytes) -> Iterator[list[Command]]:
    """Yield the steps of a journal: a command, or all of a transaction or a script. The last may be cut off."""
    step: list[Command] | None = None
    for command in _commands(text):
        name = command[0].lower()
        if name == b"multi":
            step = []
        elif name == b"exec" and step is not None:
            yield step
            step = None
        elif step is not None:
            step.append(command)
        else:
            yield [command]


def _commands(text: bytes) -> Iterator[Command]:
    at = 0
    while at < len(text):
        line_end = text.find(b"\r\n", at)
        if line_end < 0:
            return
        head, at = text[at:line_end], line_end + 2
        if not head.startswith(b"*"):
            continue  # a remark, such as a time
        words = []
        for _ in range(int(head[1:])):
            line_end = text.find(b"\r\n", at)
            if line_end < 0:
                return
            size = int(text[at + 1 : line_end])
            at = line_end + 2
            if at + size > len(text):
                return
            words.append(text[at : at + size])
            at += size + 2
        yield words


def last_takers(steps: Iterable[list[Command]], jobs: Collection[str]) -> dict[str, str]:
    """Return for each job the transport that took it last, as far as the journal tells."""
    takers = dict.fromkeys(jobs, "")
    for step in steps:
        pops = any(command[0].lower() in POPS for command in step)
        for command in step:
            name = command[0].lower()
            if name not in (b"hset", b"lpush", b"rpush"):
                continue
            for job in {found.decode() for word in command[2:] for found in _IDENTITY.findall(word)}:
                if job in takers:
                    # In a list it is free for anybody; if it leaves it without a note, kombu's transport took it.
                    takers[job] = ATOMIC if name == b"hset" and pops else STOCK
    return takers


def held_at_marks(steps: Iterable[list[Command]]) -> dict[int, set[str]]:
    """
    Return for each fault that was marked the jobs that nodes held at it.

    Those are the jobs that were delivered and not acknowledged at one of its marks, and those that were delivered
    between two of them, however short that was.
    """
    found: dict[int, set[str]] = {}
    held: dict[bytes, str] = {}
    taken, current = set[str](), -1
    for command in (command for step in steps for command in step):
        if len(command) < 3:
            continue
        name, key, *rest = [command[0].lower(), *command[1:]]
        if name == b"set" and key == MARK.encode():
            number = int(rest[0])
            found.setdefault(number, set()).update(held.values(), taken if number == current else ())
            if number >= current:  # not a look at the fault before, which ends as this one strikes
                taken, current = set(), number
        elif name == b"hset" and key == UNACKED:
            for tag, message in zip(rest[::2], rest[1::2], strict=True):
                if job := _IDENTITY.search(message):
                    held[tag] = job[1].decode()
                    taken.add(held[tag])
        elif name == b"hdel" and key == UNACKED:
            for tag in rest:
                held.pop(tag, None)
    return found
