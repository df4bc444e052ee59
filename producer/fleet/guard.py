"""
Ends what a fleet started, even if the fleet is killed without a chance to do so itself.

A small process of its own, in a session of its own. It reads lines from standard input: `process PID CREATED` and
`folder PATH` to look after, `forget PID` when a process was ended in order. When its input closes, its parent is gone
or through: it ends what is left, by process id and only if the process is still the one it was told of, and removes
the folders.
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
    """Follow the notes until they end; returns the processes and folders that are still to be looked after."""
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
    SIGTERM to each process that still is the one noted, then SIGKILL to what remains of it and its children.

    Only the roots get SIGTERM: a Celery node ends its own pool, and does so in order.
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
    """Watch standard input, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes, folders = watch(sys.stdin)
    end_trees(processes)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
