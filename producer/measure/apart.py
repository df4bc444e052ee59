"""Runs parts of a run in processes of their own, some at a time, each of which writes its answer into a file."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.errors import FleetError
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.fleet.processes import Child

AT_ONCE, LOOK_S = 2, 0.1
ANSWER = "answer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """
    A part of a run.

    Attributes:
        name: Its name in messages.
        module: The module that runs it; it is told the words, the folder and the file of its answer.
        words: What it is told first.
        folder: Its folder, for logs and the answer; it is made.
    """

    name: str
    module: str
    words: Sequence[str]
    folder: Path


def run_apart(parts: Sequence[Apart], at_once: int = AT_ONCE) -> Iterator[tuple[Apart, bytes]]:
    """
    Run parts; yield each with its answer, as it ends.

    Raises:
        FleetError: If one ends without an answer.
    """
    left, running = list(parts), list[tuple[Apart, "Child"]]()
    with Processes() as processes:
        while left or running:
            while left and len(running) < at_once:
                part = left.pop(0)
                running.append((part, _start(processes, part)))
            for each in [each for each in running if each[1].process.poll() is not None]:
                running.remove(each)
                part, child = each
                processes.stop(child)
                yield part, _answer(part, child)
            time.sleep(LOOK_S)


def _start(processes: Processes, part: Apart) -> Child:
    part.folder.mkdir(parents=True)
    command = [sys.executable, "-m", part.module, *part.words, str(part.folder), str(part.folder / ANSWER)]
    return processes.start(part.name, command, log=part.folder / "part.log")


def _answer(part: Apart, child: Child) -> bytes:
    try:
        return (part.folder / ANSWER).read_bytes()
    except OSError as error:
        raise FleetError(
            f"The {child.name} ended with {child.ended()}. The end of its log, {child.log}:\n{child.tail()}"
        ) from error
