"""
Ends what a fleet started, even if the fleet is killed and cannot do so itself.

It is a small process in a session of its own. It reads lines from standard input: `process PID CREATED`, `folder PATH`
and `group PATH`, of a control group, add something to guard, `forget PID` removes a process that was ended in order.
`expect MARK` says that a process with this mark in its environment is about to be started; its `process` follows, or
`expect` alone. When its input closes, its parent has ended or was killed. It then ends the processes that are left, by
process id and only if the creation time is still the same, one that was expected and is there, too, and removes the
groups and folders.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TERMINATE_S = 3.0
LOOK_EVERY_S = 0.02
GUARD_S = 3 * TERMINATE_S
"""How long the guard of a process that was killed may take to end what that had started."""

EXPECTED_S = 0.5
"""How long a process may take to be there of which its parent did not live to tell."""

MARK = "POOLRACE_STARTED_AS"
"""The variable that a process is known by before anybody knows its id."""


@dataclass(slots=True, kw_only=True)
class Guarded:
    """
    What is to be ended and removed.

    Attributes:
        processes: Creation times of processes, by id.
        groups: Folders of control groups.
        folders: Other folders.
        expected: The mark of a process that was about to be started; empty if none was.
    """

    processes: dict[int, float] = field(default_factory=dict)
    groups: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    expected: str = ""


def watch(lines: Iterable[str]) -> Guarded:
    """Read notes until they end; return what is left to guard."""
    guarded = Guarded()
    for line in lines:
        if not line.endswith("\n"):
            break  # the writer died while it wrote
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "process":
            pid, created = rest.split()
            guarded.processes[int(pid)] = float(created)
            guarded.expected = ""
        elif word == "expect":
            guarded.expected = rest
        elif word == "forget":
            guarded.processes.pop(int(rest), None)
        elif word == "group":
            guarded.groups.append(Path(rest))
        elif word == "folder":
            guarded.folders.append(Path(rest))
    return guarded


def find_expected(mark: str, patience_s: float = EXPECTED_S) -> dict[int, float]:
    """Return the process with a mark in its environment, as `watch` does; nothing if none comes in time."""
    began = time.monotonic()
    while True:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                # What it starts has its mark, too; it leads its session.
                if process.environ().get(MARK) == mark and os.getsid(process.pid) == process.pid:
                    return {process.pid: process.create_time()}
        if time.monotonic() - began >= patience_s:
            return {}
        time.sleep(LOOK_EVERY_S)


def end_noted(processes: Mapping[int, float], patience_s: float = TERMINATE_S) -> None:
    """End the trees of some processes; those that are no longer the ones noted are left alone."""
    trees = [tree_of(pid) for pid, created in processes.items() if _created(pid) == created]
    end_trees([tree for tree in trees if tree], patience_s, rest_s=patience_s)


def remove_groups(groups: Iterable[Path], patience_s: float = TERMINATE_S) -> list[Path]:
    """
    End what is left in control groups, and remove them.

    Returns:
        Those that are still there: the kernel keeps a group as long as something in it has not ended.
    """
    began = time.monotonic()
    left = [group for group in groups if group.exists()]
    while left and time.monotonic() - began < patience_s:
        for group in left:
            # A process stays in its group until its parent has waited for it, so the first time may be too early.
            with suppress(OSError):
                _kill_all(group)
                group.rmdir()
        left = [group for group in left if group.exists()]
        if left:
            time.sleep(LOOK_EVERY_S)
    return left


def _kill_all(group: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def end_trees(
    trees: Sequence[Sequence[psutil.Process]],
    patience_s: float,
    *,
    rest_s: float,
    waiting: Callable[[float], None] = lambda _: None,
) -> bool:
    """
    End processes together with their children: SIGTERM, patience, and SIGKILL for what is left.

    Only the roots get the SIGTERM: a Celery node ends its own pool, and does so in order. A guard among the children is
    waited for, and not killed: it has folders to remove.

    Args:
        trees: Each a process, and its children as they are known now.
        patience_s: How long the roots may take, in seconds.
        rest_s: How long children may take once their roots have ended, in seconds.
        waiting: Called again and again with the seconds that have passed.

    Returns:
        True if all roots ended of their own accord.
    """
    roots = [tree[0] for tree in trees]
    children = [process for tree in trees for process in tree[1:]]
    _send(roots, signal.SIGTERM)
    late = _wait(roots, patience_s, waiting)
    children += [child for root in late for child in tree_of(root.pid)[1:]]
    guards = [child for child in children if _is_guard(child)]
    _send(late, signal.SIGKILL)
    left = _wait([*late, *(child for child in children if child not in guards)], rest_s)
    _send(left, signal.SIGKILL)
    _wait(left, rest_s)
    _wait(guards, GUARD_S)
    return not late


def tree_of(pid: int) -> list[psutil.Process]:
    """Return a process and all its children; empty if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _is_guard(process: psutil.Process) -> bool:
    try:
        return bool(process.cmdline()[-1:] == [__file__])
    except psutil.Error:
        return False


def _wait(
    processes: Sequence[psutil.Process], timeout_s: float, waiting: Callable[[float], None] = lambda _: None
) -> list[psutil.Process]:
    """Wait until processes have ended, and return those that have not in time."""
    began = time.monotonic()
    left = [process for process in processes if not _has_ended(process)]
    while left and (gone_s := time.monotonic() - began) < timeout_s:
        waiting(gone_s)
        time.sleep(LOOK_EVERY_S)
        left = [process for process in left if not _has_ended(process)]
    return left


def _has_ended(process: psutil.Process) -> bool:
    """Return whether a process is gone, or a zombie that only waits for its parent to notice."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _created(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def _send(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def main() -> None:
    """Follow standard input to its end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guarded = watch(sys.stdin)
    if guarded.expected:
        guarded.processes |= find_expected(guarded.expected)
    end_noted(guarded.processes)
    remove_groups(guarded.groups)
    for folder in guarded.folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
