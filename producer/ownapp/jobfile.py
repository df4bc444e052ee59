"""Reads and writes job files: the jobs of a user's app, one JSON object a line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from kombu.utils.json import dumps

from producer.errors import UsageError
from producer.files import replaced
from producer.ownapp.event_listener import FOLLOWING
from producer.plan.units import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from producer.ownapp.event_listener import RecordedJob
    from producer.ownapp.mask import Mask

MAX_LINES = 100_000
MAX_NUMBER = 1e12
TIME_DECIMALS = 6

STANDARD_INPUT = "-"
OPENING = ("{", "[")
ONE_A_LINE = (
    "A job is one object on a line of its own: jq -c '.[]' makes that of a list, jq -c . of objects over lines."
)
"""For files in which an object goes over several lines, or all of them are one list."""

KINDS: Mapping[str, tuple[Any, str]] = {
    "task": (str, "a task's name"),
    "args": (list, "a list"),
    "kwargs": (dict, "an object"),
    "weight": ((int, float), "a number above 0"),
    "queue": (str, "a queue's name"),
    "headers": (dict, "an object"),
    "repeatable": (bool, "true or false"),
    "at": ((int, float), "seconds, 0 or more"),
    "priority": (int, "a whole number from 0 to 255"),
    "expires": ((int, float), "seconds above 0"),
    "time_limit": ((int, float), "seconds above 0"),
    "soft_time_limit": ((int, float), "seconds above 0"),
    "link": (list, "a list of objects with a task each"),
    "link_error": (list, "a list of objects with a task each"),
    "chain": (list, "a list of objects with a task each, the last to run first"),
}
"""The keys of a job: the type of each value, and its description in an error."""

BOUNDS: Mapping[str, tuple[float, float]] = {
    "weight": (0, MAX_NUMBER),
    "at": (-1e-9, MAX_NUMBER),
    "priority": (-1, 256),
    "expires": (0, MAX_NUMBER),
    "time_limit": (0, MAX_NUMBER),
    "soft_time_limit": (0, MAX_NUMBER),
}
"""Numbers between which a value must lie."""


GZIP, UTF_16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
"""What files begin with that are compressed, or text of another encoding."""


def read_jobs(path: Path, task: str | None = None) -> list[dict[str, Any]]:
    """
    Read the jobs of a file; each has its place in the file as `line`.

    Args:
        path: The file; `-` for standard input.
        task: The task of lines that name none; None if each must name its own.

    Raises:
        UsageError: If the file cannot be read, or a line is no job; the message has its number and what is allowed.
    """
    lines = _text(path).split("\n")
    jobs = [_job(line, f"{path}, line {number}", task) for number, line in enumerate(lines, start=1) if line.strip()]
    if not jobs:
        raise UsageError(f"--jobs {path}: holds no job. Give one a line.")
    if len(jobs) > MAX_LINES:
        raise UsageError(f"--jobs {path}: {len(jobs):,} jobs; at most {MAX_LINES:,}. Take a part of it.")
    return jobs


def _text(path: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(path) == STANDARD_INPUT else path.read_bytes()
        return raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or _encoding(raw)
        raise UsageError(
            f"--jobs {path}: cannot be read ({reason}). Give a file with a JSON object a line, such as "
            '{"task": "shop.tasks.resize", "args": [640]}, or a function that makes jobs, such as shop.load:make_job.'
        ) from error


def _encoding(raw: bytes) -> str:
    """Return what a file seems to be that is no UTF-8, and what makes it so."""
    if raw.startswith(GZIP):
        return "compressed; unpack it with gunzip"
    if raw.startswith(UTF_16):
        return "UTF-16; make it UTF-8 with iconv -f UTF-16 -t UTF-8"
    return "not text"


def _job(line: str, where: str, task: str | None) -> dict[str, Any]:
    try:
        job = json.loads(line)
    except (ValueError, RecursionError) as error:
        hint = f" {ONE_A_LINE}" if line.strip() in OPENING or line.lstrip().startswith("[") else ""
        raise UsageError(f"{where}: not JSON: {error}.{hint}") from error
    if isinstance(job, list) and any(isinstance(each, dict) for each in job):
        raise UsageError(f"{where}: a list, and not one job. {ONE_A_LINE}")
    if isinstance(job, dict) and task:
        job = {"task": task, **job}
    if not isinstance(job, dict) or "task" not in job:
        raise UsageError(f'{where}: a job is an object with at least a task, e.g. {{"task": "shop.tasks.resize"}}.')
    for key, value in job.items():
        _check(key, value, where)
    return {**job, "line": where}


def _check(key: str, value: Any, where: str) -> None:
    if key not in KINDS:
        raise UsageError(f"{where}: unknown key {key!r}. Allowed: {one_of(key, tuple(KINDS))}.")
    kind, words = KINDS[key]
    right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if key == "task":
        right = right and bool(value)
    if right and key in BOUNDS:
        low, high = BOUNDS[key]
        right = low < value < high
    if right and key in FOLLOWING:
        right = all(isinstance(each, dict) and isinstance(each.get("task"), str) for each in value)
    if not right:
        raise UsageError(f"{where}: {key} {value!r} must be {words}.")


def writable(job: RecordedJob) -> bool:
    """Check whether a job's arguments can be in a job file: plain values, and the types that Celery's JSON knows."""
    try:
        dumps([job.args, job.kwargs, job.headers, job.options])
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def check_free(path: Path, *, force: bool) -> None:
    """
    Check that writing a job file overwrites nothing.

    Raises:
        UsageError: If the file exists, or its folder does not.
    """
    if not path.parent.is_dir():
        raise UsageError(f"--jobs {path}: there is no folder {path.parent}. Make it, or name another file.")
    if path.exists() and not force:
        raise UsageError(f"--jobs {path}: is there already. Name another file, or add --force.")


def write_jobs(path: Path, jobs: Sequence[RecordedJob], mask: Mask, *, force: bool) -> None:
    """
    Write a job file whole or not at all, in the order in which the jobs came.

    Raises:
        UsageError: If it cannot be written, or exists already.
    """
    ordered = sorted(jobs, key=lambda job: job.at)
    first_at = ordered[0].at if ordered else 0.0
    try:
        with replaced(path) as file:
            file.writelines(f"{dumps(_line(job, first_at, mask))}\n".encode() for job in ordered)
            check_free(path, force=force)
    except OSError as error:
        raise UsageError(f"--jobs {path}: cannot be written ({error.strerror}). Name another file.") from error


def _line(job: RecordedJob, first_at: float, mask: Mask) -> dict[str, Any]:
    line: dict[str, Any] = {"at": round(job.at - first_at, TIME_DECIMALS), "task": job.task}
    extras = {
        "args": mask.args(job.args or ()),
        "kwargs": mask.kwargs(job.kwargs or {}),
        "queue": job.queue,
        "headers": mask.headers(job.headers),
        **{key: mask.following(value) if key in FOLLOWING else value for key, value in job.options.items()},
    }
    return {**line, **{key: value for key, value in extras.items() if value or value == 0}}
