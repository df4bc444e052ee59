"""A small run directory as a race would write it, of which every figure can be worked out by hand."""

from itertools import product

import polars as pl
from jobs import a_job, a_sample, a_trial, tables_of

from producer.fleet import NodeFacts
from producer.fleet.machine import describe
from producer.plan.lanes import parse_lanes
from producer.plan.settings import RaceSettings
from producer.rundir.schema import SAMPLE_SCHEMA
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter


def make_run(parent, name="race", *, speeds=None, pairs=3, jobs=12, settings=None, lanes=None, **manifest):
    """
    Write a small run as a race would, of two lanes with two slots each and 100 ms sleeps; returns its directory.

    Every job is due and sent at once and starts when a slot is free, so that each figure can be worked out by hand.

    Args:
        parent: Where to.
        name: How the directory's name ends.
        speeds: By lane, how much faster than they should jobs end: twice as fast, twice the capacity.
        pairs: Rounds of each kind.
        jobs: Of each trial.
        settings: Changes to what was asked.
        lanes: Other lanes than prefork and threads.
        manifest: Changes to the manifest.
    """
    lanes = lanes or parse_lanes(["prefork:2", "threads:2"], slots=2, prefetch=4, acks="early")
    asked = RaceSettings(lanes=lanes, workloads=("sleep",), pairs=pairs, trial_s=0.6)
    writer = RunWriter.create(
        parent,
        name,
        {
            "run_id": "00112233445566ff",
            "settings": {**asked.to_dict(), **(settings or {})},
            "status": "complete",
            "began_at": 1_700_000_000.0,
            "ended_at": 1_700_000_060.0,
            "machine": describe(read=lambda _: None).to_dict(),
            "sizes": {"sleep": {"amount": [100_000], "target_s": 0.1, "measured_s": None}},
            "broker": "redis://127.0.0.1:6379/0 (embedded)",
            "nodes": [
                NodeFacts(node=f"{lane.key}@host", lane=lane.key, ready_s=1.25).to_dict() for lane in lanes
            ],
            "publisher_clock": {"offset_s": 0.0, "bound_s": 0.0001},
            "clocks": {f"{lane.key}@host": {"offset_s": 0.0, "bound_s": 0.0001} for lane in lanes},
            **manifest,
        },
    )  # fmt: skip
    rounds = [(kind, turn) for kind in (Kind.CAPACITY, Kind.LATENCY) for turn in range(pairs)]
    for number, ((kind, turn), lane) in enumerate(product(rounds, lanes)):
        service_s = 0.1 / (speeds or {}).get(lane.key, 1.0)
        began_at = 1_700_000_000.0 + 4 * number
        # No two rounds are quite alike.
        ends_s = [(seq // lane.slots + 1) * service_s * (1 + turn / 1000) for seq in range(jobs)]
        trial = a_trial(
            trial=number, kind=kind, lane=lane.key, round=turn, jobs=jobs,
            rate_per_s=None if kind is Kind.CAPACITY else 14.0, slots=lane.slots, began_at=began_at,
            ended_at=began_at + ends_s[-1], cpu_s=0.012,
        )  # fmt: skip
        ended = [
            a_job(pool=lane.pool, started_at=began_at + end_s - service_s, finished_at=began_at + end_s)
            for end_s in ends_s
        ]
        tables = {
            **tables_of(trial, ended),
            "samples": pl.DataFrame([a_sample(trial, 0.0, processes=3, threads=6)], SAMPLE_SCHEMA),
        }
        for table, frame in tables.items():
            writer.add_table(table, number, frame)
        ping = {"trial": number, "lane": lane.key, "node": "n", "at": began_at, "timeout_s": 2.0}
        writer.add_pings([{**ping, "rtt_s": 0.005}])
        writer.add_trial(trial)
    return writer.path
