"""Which slot ran a job: its process and thread, and its greenlet where several jobs share a thread."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import polars as pl

from poolrace.pools import has_thread_of_its_own

if TYPE_CHECKING:
    from collections.abc import Mapping

THREAD = ("node", "pid", "thread_id")
SLOT = (*THREAD, "greenlet")
"""Columns that name a slot: a child process of prefork, a thread, or one of the greenlets of a thread."""


def with_slots(jobs: pl.DataFrame) -> pl.DataFrame:
    """
    Return jobs with the number of their `greenlet` within the thread that ran them, from 0.

    It is 0 where a job has its thread to itself, whatever its instants say. A pool of greenlets starts a new one for
    each job; here a job takes the lowest number that is free when it starts, so that there are as many as ran at once.

    Args:
        jobs: Records of jobs that ran, in order of their start.
    """
    ends: dict[tuple[object, ...], list[float]] = defaultdict(list)
    numbers = []
    for pool, started_at, finished_at, *thread in jobs.select("pool", "started_at", "finished_at", *THREAD).iter_rows():
        if has_thread_of_its_own(pool):
            numbers.append(0)
            continue
        busy_until = ends[tuple(thread)]
        number = next((n for n, end in enumerate(busy_until) if end <= started_at), len(busy_until))
        busy_until[number : number + 1] = [finished_at]
        numbers.append(number)
    return jobs.with_columns(greenlet=pl.Series(numbers, dtype=pl.UInt32))


def slot_name(slot: Mapping[str, Any], *, shares_process: bool) -> str:
    """
    Return how a slot is called.

    Args:
        slot: Its `pool` and the columns of `SLOT`.
        shares_process: Whether there are others in its process.
    """
    if not has_thread_of_its_own(slot["pool"]):
        return f"greenlet {slot['greenlet'] + 1}"
    return f"thread {slot['thread_id']}" if shares_process else f"pid {slot['pid']}"
