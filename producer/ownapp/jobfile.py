"""Job files: what a user's app is sent, one JSON object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from producer.errors import UsageError
from producer.plan.units import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEYS = ("task", "args", "kwargs", "weight", "queue", "headers", "repeatable", "at")
MAX_LINES = 100_000
MAX_NUMBER = 1e12

KINDS: Mapping[str, tuple[Any, str]] = {
    "task": (str, "a task's name"),
    "args": (list, "a list"),
    "kwargs": (dict, "an object"),
    "weight": ((int, float), "a number above 0"),
    "queue": (str, "a queue's name"),
    "headers": (dict, "an object"),
    "repeatable": (bool, "true or false"),
    "at": ((int, float), "seconds, 0 or more"),
}  # fmt: skip


def read_jobs(path: Path) -> list[dict[str, Any]]:
    """
    The jobs of a file, each with the place where it stands as `line`.

    Raises:
        UsageError: If the file cannot be read, or a line is no job; with its number, and what is allowed.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UsageError(
            f"--jobs {path}: cannot be read ({reason}). Give a file with a JSON object a line, such as "
            '{"task": "shop.tasks.resize", "args": [640]}, or a function that makes jobs, such as shop.load:make_job.'
        ) from error
    jobs = [_job(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not jobs:
        raise UsageError(f"--jobs {path}: holds no job. Give one a line.")
    if len(jobs) > MAX_LINES:
        raise UsageError(f"--jobs {path}: {len(jobs):,} jobs; at most {MAX_LINES:,}. Take a part of it.")
    return jobs


def _job(line: str, where: str) -> dict[str, Any]:
    try:
        job = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {error}.") from error
    if not isinstance(job, dict) or "task" not in job:
        raise UsageError(f'{where}: a job is an object with at least a task, e.g. {{"task": "shop.tasks.resize"}}.')
    for key, value in job.items():
        _check(key, value, where)
    return {**job, "line": where}


def _check(key: str, value: Any, where: str) -> None:
    if key not in KINDS:
        raise UsageError(f"{where}: unknown key {key!r}. Allowed: {one_of(key, KEYS)}.")
    kind, words = KINDS[key]
    right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if key == "task":
        right = right and bool(value)
    if right and key in {"weight", "at"}:
        right = 0 < value < MAX_NUMBER if key == "weight" else 0 <= value < MAX_NUMBER
    if not right:
        raise UsageError(f"{where}: {key} {value!r} must be {words}.")
