"""
Ends what a fleet started, even if the fleet is killed and cannot do so itself.

It is a small process in a session of its own. It reads lines from standard input: `process PID CREATED` and `folder
PATH` add something to guard, `forget PID` removes a process that was ended in order. When its input closes, its parent
has ended or was killed. It then ends the processes that are left, by process id and only if the creation time is still
the same, and removes the folders.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TERMINATE_S = 3.0


def watch(lines: Iterable[str]) -> tuple[dict[int, float], list[Path]]:
    """Read notes until they end; return the processes, by id with creation time, and the folders that are left."""
    processes: dict[int, float] = {}
    folders: list[Path] = []
    for line in lines:
        if not line.endswith("\n"):
            break  # the writer died while it wrote
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "process":
            pid, created = rest.split()
            processes[int(pid)] = float(created)
        elif word == "forget":
            processes.pop(int(rest), None)
        elif word == "folder":
            folders.append(Path(rest))
    return processes, folders


def end_trees(processes: dict[int, float], patience_s: float = TERMINATE_S) -> None:
    """
    Send SIGTERM to each process that is still the one noted, then SIGKILL to what remains of it and its children.

    Only the roots get SIGTERM: a Celery node ends its own pool in order.
    """
    trees = [_tree(pid, created) for pid, created in processes.items()]
    _send([tree[0] for tree in trees if tree], signal.SIGTERM)
    _, alive = psutil.wait_procs([process for tree in trees for process in tree], timeout=patience_s)
    _send(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=patience_s)


def _tree(pid: int, created: float) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        if process.create_time() != created:
            return []
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def main() -> None:
    """Follow standard input to its end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes, folders = watch(sys.stdin)
    end_trees(processes)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
