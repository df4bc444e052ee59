"""Runs the experiments of lessons, each in a process of its interpreter, until it is sure or its time is up."""

from __future__ import annotations

import os
import select
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from producer.analysis.lessons import LessonResult, found_in, is_sure, judge
from producer.errors import FleetError
from producer.fleet.embedded import start_embedded
from producer.fleet.environment import inherited_environment, interpreter, source_path
from producer.fleet.processes import Processes
from producer.lessons.lesson import BROKER, Python, Seen, not_shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from producer.fleet.processes import Child
    from producer.lessons.lesson import Entry

ANSWER_S = 120.0
END_S = 15.0
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A line that an experiment printed.

    Attributes:
        seen: What a repetition saw; None if there is no more to see.
        cores: The cores that two counting processes got before it.
        python: The interpreter.
        cannot: Why the experiment cannot be tried; empty if it can.
    """

    seen: Seen | None = None
    cores: float = 0.0
    python: Python | None = None
    cannot: str = ""


class LessonRunner:
    """
    Runs experiments, and the broker that their nodes share.

    Use it as a context manager: leaving it ends all processes.

    Args:
        logs: The folder for what experiments and nodes print.
        at_most_s: How long an experiment may repeat in one interpreter, in seconds, the start of nodes apart.
        environment: Further variables of the experiments.
    """

    def __init__(self, logs: Path, at_most_s: float, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._at_most_s = at_most_s
        self._own = environment
        self._processes = Processes()

    def __enter__(self) -> Self:
        self._processes.__enter__()
        try:
            self._folder = self._processes.folder()
            self._broker = start_embedded(self._processes, self._folder)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.__exit__(kind, error, trace)

    def run(self, entry: Entry, python: str = "") -> LessonResult:
        """
        Run a lesson's experiment in an interpreter, and judge the statement.

        Args:
            entry: The lesson.
            python: The interpreter; empty for the one that runs this command.

        Raises:
            FleetError: If the experiment ends with an error, or stays silent.
        """
        began = time.monotonic()
        experiment = _Experiment(self._start(entry, python))
        patience_s = 0.0
        try:
            result = self._repeat(entry, experiment, began)
            patience_s = END_S
        finally:
            experiment.end(self._processes, patience_s)
        return result

    def _repeat(self, entry: Entry, experiment: _Experiment, began: float) -> LessonResult:
        seen, cores, until, found = list[Seen](), list[float](), float("inf"), None
        while time.monotonic() < until and not (found and is_sure(entry, found)):
            answer = experiment.ask()
            if answer.cannot:
                judgement, took_s = not_shown(answer.cannot), time.monotonic() - began
                return LessonResult(
                    lesson=entry.name, python=answer.python, judgement=judgement, found=None, took_s=took_s
                )
            if answer.seen is None:
                break
            # The first answer comes when the nodes have started.
            until = min(until, time.monotonic() + self._at_most_s)
            seen.append(answer.seen)
            cores.append(answer.cores)
            assert answer.python is not None
            found = found_in(answer.python, seen, cores)
        assert found is not None
        return LessonResult(
            lesson=entry.name,
            python=found.python,
            judgement=judge(entry, found),
            found=found,
            took_s=time.monotonic() - began,
        )

    def _start(self, entry: Entry, python: str) -> Child:
        return self._processes.start(
            f"lesson {entry.name}", [interpreter(python), "-m", "producer.lessons", entry.name],
            env={
                **inherited_environment(os.environ), **self._own, **source_path(python), BROKER: self._broker.url,
                "TMPDIR": str(self._folder),
            },
            log=self._logs / f"{entry.name}.log", cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip


class _Experiment:
    """The process of an experiment, asked for one repetition after the other."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._read = b""

    def ask(self) -> Answer:
        """Ask for a repetition, and return what it saw."""
        assert self._child.process.stdin is not None
        try:
            self._child.process.stdin.write(b"\n")
            self._child.process.stdin.flush()
        except BrokenPipeError:
            pass  # its last line says why it ended
        return msgspec.json.decode(self._line(), type=Answer)

    def end(self, processes: Processes, patience_s: float) -> None:
        """Let it end what it started, for so many seconds, and end it with all that it has not."""
        assert self._child.process.stdin is not None
        assert self._child.process.stdout is not None
        try:
            self._child.process.stdin.close()
            self._child.process.wait(patience_s)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        processes.stop(self._child)
        self._child.process.stdout.close()

    def _line(self) -> bytes:
        assert self._child.process.stdout is not None
        output, until = self._child.process.stdout.fileno(), time.monotonic() + ANSWER_S
        while b"\n" not in self._read:
            ready, _, _ = select.select([output], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                silence = f"The {self._child.name} did not answer in {ANSWER_S:.0f} s."
                raise FleetError(f"{silence} The end of its log, {self._child.log}:\n{self._child.tail()}")
            chunk = os.read(output, CHUNK_BYTES)
            if not chunk:
                self._child.process.wait(END_S)
                self._child.check()
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        return line
