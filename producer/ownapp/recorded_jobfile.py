"""Writes a job file: a line a job, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.utils.json import dumps

from producer.errors import UsageError
from producer.files import replaced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from producer.ownapp.event_listener import RecordedJob
    from producer.ownapp.mask import Mask

PLACES = 6
"""Microseconds."""


def writable(job: RecordedJob) -> bool:
    """Whether a job's arguments can stand in a job file: plain values, and those that Celery's own JSON knows."""
    try:
        dumps([job.args, job.kwargs, job.headers])
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def check_free(path: Path, *, force: bool) -> None:
    """
    See that nothing is lost by writing there.

    Raises:
        UsageError: If a file is there already, or its folder is not.
    """
    if not path.parent.is_dir():
        raise UsageError(f"--jobs {path}: there is no folder {path.parent}. Make it, or name another file.")
    if path.exists() and not force:
        raise UsageError(f"--jobs {path}: is there already. Name another file, or add --force.")


def write_jobs(path: Path, jobs: Sequence[RecordedJob], mask: Mask, *, force: bool) -> None:
    """
    Write a job file, in the order in which the jobs came.

    Raises:
        UsageError: If it cannot be written, or is there already.
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
    line: dict[str, Any] = {"at": round(job.at - first_at, PLACES), "task": job.task}
    extras = {
        "args": mask.args(job.args or ()),
        "kwargs": mask.kwargs(job.kwargs or {}),
        "queue": job.queue,
        "headers": mask.headers(job.headers),
    }
    return {**line, **{key: value for key, value in extras.items() if value}}
