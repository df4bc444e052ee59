"""
Finds globals that tasks write: runs a job on two threads at once, and compares its module before and after.

Only jobs that their owner marked repeatable are run. A global of a module is shared by all slots on the threads pool,
and by no two slots on prefork.
"""

from __future__ import annotations

import sys
import threading
import types
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery

MAX_RUN_S = 10.0
_SCALARS = (int, float, complex, str, bytes, bool, type(None))
_CONTAINERS = (list, dict, set, tuple, frozenset, bytearray, array, Counter, OrderedDict, defaultdict, deque)
PLAIN = (*_SCALARS, *_CONTAINERS)
"""Types whose values can be compared by their text, without running code of the user's."""

_IGNORED = (types.ModuleType, types.FunctionType, type)


def written_globals(app: Celery, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """
    Return a sentence for each global that a task writes, and for each task whose two runs give different results.

    Args:
        app: The app of the tasks.
        jobs: The jobs that may be run again; the first of each task is run.
    """
    firsts = {job["task"]: job for job in reversed(jobs)}
    return [line for name in sorted(firsts) for line in _findings_on(app.tasks[name], firsts[name])]


def _findings_on(task: Any, job: Mapping[str, Any]) -> list[str]:
    module = sys.modules.get(task.__module__)
    if module is None:
        return []
    before = _hashes_of_globals(module)
    answers = _run_twice_at_once(task, job)
    after = _hashes_of_globals(module)
    written = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    lines = [
        f"{task.name} writes the global {task.__module__}.{name}: on threads all slots share it, on prefork none do"
        for name in written
    ]
    if len(answers) == 2 and answers[0] != answers[1]:
        lines.append(f"{task.name} gave two answers to the same job on two threads at once: {answers[0]}, {answers[1]}")
    return lines


def _hashes_of_globals(module: types.ModuleType) -> dict[str, int]:
    """Return the plain globals of a module, each as the hash of its text: the value itself may change in place."""
    return {
        name: hash(repr(value))
        for name, value in vars(module).items()
        if not name.startswith("__") and not isinstance(value, _IGNORED) and type(value) in PLAIN
    }


def _run_twice_at_once(task: Any, job: Mapping[str, Any]) -> list[str]:
    answers: list[str] = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait(MAX_RUN_S)
        result = task.apply(args=tuple(job.get("args") or ()), kwargs=dict(job.get("kwargs") or {}))
        answers.append(f"{result.result!r:.60}")

    threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(MAX_RUN_S)
    return answers
