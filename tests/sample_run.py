"""A small run directory as a race would write it, of which every figure can be worked out by hand."""

from itertools import product

import polars as pl
from msgspec import to_builtins
from recorded import recorded

from producer.fleet.machine import describe
from producer.plan.lanes import parse_lanes
from producer.rundir.manifest import NodeFacts
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial
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
    lanes = lanes or parse_lanes(["prefork:2", "threads:2"], concurrency=2, prefetch=4, acks="early")
    asked = recorded(**{"lanes": lanes, **(settings or {})})
    writer = RunWriter.create(
        parent,
        name,
        {
            "run_id": "00112233445566ff",
            "settings": to_builtins(asked),
            "status": "complete",
            "began_at": 1_700_000_000.0,
            "ended_at": 1_700_000_060.0,
            "machine": to_builtins(describe(read=lambda _: None)),
            "sizes": {"sleep": {"amount": [100_000], "target_s": 0.1, "measured_s": None}},
            "broker": "redis://127.0.0.1:6379/0 (embedded)",
            "nodes": [
                to_builtins(NodeFacts(node=f"{lane.key}@host", lane=lane.key, ready_s=1.25)) for lane in lanes
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
        frames = trial_frames(number, lane, began_at, ends_s, service_s)
        for table, frame in frames.items():
            writer.add_table(table, number, frame)
        asked = {"trial": number, "lane": lane.key, "node": "n", "at": began_at, "timeout_s": 2.0}
        writer.add_pings([{**asked, "rtt_s": 0.005}])
        writer.add_trial(
            Trial(
                trial=number,
                kind=kind,
                workload="sleep",
                lane=lane.key,
                round=turn,
                jobs=jobs,
                rate_per_s=None if kind is Kind.CAPACITY else 14.0,
                slots=lane.slots,
                began_at=began_at,
                ended_at=began_at + ends_s[-1],
                cpu_s=0.012,
            )
        )
    return writer.path


def trial_frames(number, lane, began_at, ends_s, service_s):
    """The three tables of a trial whose jobs ended at these offsets."""
    node = {"lane": lane.key, "node": f"{lane.key}@host"}
    job = {"trial": number, "part": 0, "due_at": began_at, "sent_at": began_at}
    run = {"pool": lane.pool, "pid": 10, "attempt": 1, "redelivered": False, "gil": True, "outcome": "succeeded"}
    records = [
        {
            **node, **job, **run, "seq": seq, "thread_id": seq % lane.slots, "received_at": began_at,
            "started_at": began_at + end_s - service_s, "finished_at": began_at + end_s, "cpu_s": 0.001,
        }
        for seq, end_s in enumerate(ends_s)
    ]  # fmt: skip
    sample = {
        **node, "at": began_at, "cpu_s": 1.0, "pss_bytes": 50 << 20, "private_bytes": 40 << 20, "processes": 3,
        "threads": 6, "drift_s": 0.0,
    }  # fmt: skip
    return {
        "records": pl.DataFrame(records, schema=RECORD_SCHEMA),
        "sent": pl.DataFrame([{**job, "seq": seq, "accepted_at": began_at} for seq in range(len(ends_s))], SENT_SCHEMA),
        "samples": pl.DataFrame([sample], schema=SAMPLE_SCHEMA),
    }
