"""Processes of nodes that were never sampled: what they hold, as a test says it, beside trials of a lane."""

import random

import polars as pl
from jobs import BEGAN_AT, a_trial

from producer.plan.run_settings import SoakOptions
from producer.rundir.schema import PROCESS_SCHEMA
from producer.rundir.trials import Kind

MIB = 2**20
LEVEL = 40 * MIB
TRIALS, TRIAL_S, EVERY_S = 30, 8.0, 10.0
"""A lane works for eight seconds of each ten."""

WHOLE_S = TRIALS * EVERY_S
OPTIONS = SoakOptions(for_s=WHOLE_S, recycled={}, recycle_jobs=100, tolerated_bytes_per_h=4 * MIB)


def trials_of(lane, **changes):
    """Return the trials of a lane at a held rate, in turn with nothing."""
    begins = [BEGAN_AT + number * EVERY_S for number in range(TRIALS)]
    return [
        a_trial(**{
            "trial": number, "round": number, "kind": Kind.LATENCY, "lane": lane, "jobs": 8, "began_at": begin,
            "ended_at": begin + TRIAL_S, **changes,
        })
        for number, begin in enumerate(begins)
    ]  # fmt: skip


def worked_s(at_s):
    """Return for how long a lane has worked after so many seconds."""
    turn, rest_s = divmod(min(at_s, WHOLE_S), EVERY_S)
    return turn * TRIAL_S + min(rest_s, TRIAL_S)


def noisy(sd, level=LEVEL):
    """Return what a process holds that stays the same but for noise."""
    draw = random.Random(3)
    return lambda _at_s: level + draw.gauss(0, sd)


def a_process(
    pid, *, lane="threads", root=True, held=lambda _at_s: LEVEL, files=lambda _at_s: 10, begin_s=0.0, until_s=WHOLE_S
):
    """Return samples of a process, two seconds apart, by what it holds after so many seconds."""
    times = [begin_s + 2.0 * number for number in range(int((until_s - begin_s) / 2) + 1)]
    return [
        {
            "lane": lane, "node": f"{lane}@host", "at": BEGAN_AT + at_s, "pid": pid, "root": root,
            "rss_bytes": round(held(at_s)), "open_files": round(files(at_s)), "sockets": 4,
        }
        for at_s in times
    ]  # fmt: skip


def table(*processes):
    """Return the table of processes of a run."""
    return pl.DataFrame([sample for process in processes for sample in process], schema=PROCESS_SCHEMA)
