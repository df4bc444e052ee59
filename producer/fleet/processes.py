"""Starts processes, each in a session of its own with a log, and makes sure with a guard that all of them end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import psutil

from producer.errors import FleetError
from producer.fleet.control_group import ControlGroup, GroupLimits, make, new_group, within
from producer.fleet.guard import MARK, end_noted, remove_groups
from producer.interrupts import held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

LOG_TAIL_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """
    A process that this command started.

    Attributes:
        name: Its name in messages, e.g. `node threads@host`.
        process: The process.
        log: The file with its output, behind what the file had already.
        log_begin: Where in the file its output begins, in bytes.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_begin: int = 0

    def check(self) -> None:
        """
        Check that it still runs.

        Raises:
            FleetError: If it ended; the message says how, and has the end of its log.
        """
        if how := self.ended():
            raise FleetError(f"The {self.name} ended with {how}. The end of its log, {self.log}:\n{self.tail()}")

    def ended(self) -> str | None:
        """Return how it ended, e.g. `signal SIGKILL`; None if it runs."""
        code = self.process.poll()
        return None if code is None else _how(code)

    def said(self) -> str:
        """Return its output so far, without that of an earlier process in the same log; empty if there is no log."""
        try:
            with self.log.open("rb") as file:
                file.seek(self.log_begin)
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def tail(self) -> str:
        """Return the last lines of its output, indented."""
        lines = self.said().splitlines()[-LOG_TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (empty)"


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"


def start_in_session(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> Child:
    """
    Start a process in a session of its own, which Ctrl-C does not reach, and add its output to a log.

    Args:
        name: Its name in messages.
        command: The program and its arguments.
        log: The file for its errors, and for its output.
        env: Its environment; None for ours.
        cwd: Its folder; None for ours.
        stdin: Its input, as for `subprocess.Popen`.
        stdout: Its output, if that does not go to the log.

    Raises:
        FleetError: If the program cannot be started.
    """
    try:
        with log.open("ab") as output:
            begin = output.tell()
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output if stdout is None else stdout,
                stderr=output,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
    except OSError as error:
        raise FleetError(f"The {name} cannot be started: {error}.") from error
    return Child(name=name, process=process, log=log, log_begin=begin)


class Processes:
    """
    All processes, control groups and temporary folders of a fleet.

    Use it as a context manager: leaving it ends the processes and removes the groups and folders. If this process is
    killed, the guard does the same.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._groups: list[ControlGroup] = []
        self._folders: list[Path] = []
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        # Not `-m`: that would import the package around it, and with it far more than the guard needs.
        command = [sys.executable, "-P", str(Path(__file__).with_name("guard.py"))]
        with held():
            self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1, start_new_session=True)
        return self

    def folder(self) -> Path:
        """Make a temporary folder, private to this user."""
        with held():
            path = Path(tempfile.mkdtemp(prefix="poolrace-"))
            self._folders.append(path)
            self._note(f"folder {path}")
        return path

    def group(self, limits: GroupLimits) -> ControlGroup:
        """
        Make a control group, for processes that are started in it.

        Raises:
            FleetError: If it cannot be made.
        """
        group = new_group(limits)
        with held():
            # Who is killed now has told what to look for.
            for folder in group.folders:
                self._note(f"group {folder}")
            self._groups.append(group)
            make(group)
        return group

    def remove(self, *groups: ControlGroup) -> None:
        """End what is left in control groups, and remove them."""
        remove_groups([folder for group in groups for folder in group.folders])
        self._groups = [each for each in self._groups if each not in groups]

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        group: ControlGroup | None = None,
    ) -> Child:
        """
        Start a process in a session of its own, so that Ctrl-C reaches it only through us; see `start_in_session`.

        With a group, it and all that it starts are in that control group from its first instruction on.

        Raises:
            FleetError: If the program cannot be started.
        """
        mark = uuid4().hex
        command = within(group, command) if group else command
        marked = {**(os.environ if env is None else env), MARK: mark}
        with held():
            # Who is killed now has told what to look for.
            self._note(f"expect {mark}")
            try:
                child = start_in_session(name, command, log=log, env=marked, cwd=cwd, stdin=stdin, stdout=stdout)
            except FleetError:
                self._note("expect ")
                raise
            self._children.append(child)
            self._note(f"process {child.process.pid} {_created(child.process.pid)!r}")
        return child

    def check(self) -> None:
        """
        Check that all of them still run.

        Raises:
            FleetError: If one has ended.
        """
        for child in self._children:
            child.check()

    def stop(self, *children: Child) -> None:
        """End processes and their children, all at once: SIGTERM, a few seconds, SIGKILL."""
        running = [child.process.pid for child in children if child.process.poll() is None]
        end_noted({pid: _created(pid) for pid in running})
        for child in children:
            child.process.wait()
            self._children.remove(child)
            self._note(f"forget {child.process.pid}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with held():
            self.stop(*self._children)
            self.remove(*self._groups)
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)
            self._dismiss_guard()

    def _note(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            try:
                print(line, file=self._guard.stdin, flush=True)
            except BrokenPipeError:  # the guard was killed
                self._dismiss_guard()

    def _dismiss_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            with suppress(BrokenPipeError):
                guard.stdin.close()
            guard.wait()


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
