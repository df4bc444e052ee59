"""
Jobs, trials and runs that were never measured: pure data with sensible defaults, of which a test changes what it is of.

One job a row, as a publisher and a node note it. Offsets are seconds from the beginning of its trial:

    run = a_run(a_trial(), [a_job(0.0), a_job(1.0, wait_s=2.0, outcome="failed")])
"""

from pathlib import Path

import polars as pl
from recorded import manifest_of, recorded

from producer.rundir.run import Run
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

BEGAN_AT = 1024.0
"""Exact in binary, so that sums of halves and quarters are, too."""


def a_trial(**changes):
    """Return a trial of four jobs at one a second on a lane of two slots of threads."""
    defaults = {
        "trial": 0, "kind": Kind.LOAD, "workload": "sleep", "lane": "threads", "round": 0, "jobs": 4,
        "rate_per_s": 1.0, "slots": 2, "began_at": BEGAN_AT,
    }  # fmt: skip
    fields = {**defaults, **changes}
    return Trial(**{"ended_at": fields["began_at"] + 8.0, **fields})


def a_job(
    due_s=0.0, *, lag_s=0.0, broker_s=0.0, wait_s=0.0, service_s=0.125, part=0, accepted=True, children=(), **record
):
    """
    Describe a job, from being due to its end.

    Args:
        due_s: When it is due, from the beginning of its trial.
        lag_s: How late it is sent.
        broker_s: From being sent until a node has it.
        wait_s: From then until a slot has it.
        service_s: From then to its end.
        part: Its workload, by number.
        accepted: The broker took it.
        children: How long after its own end each job that it started ended.
        record: Changes to its record; `outcome=None` for a job of which there is no record.
    """
    return {
        "took_s": (lag_s, broker_s, wait_s, service_s), "due_s": due_s, "part": part, "accepted": accepted,
        "children": tuple(children), "record": record,
    }  # fmt: skip


def tables_of(trial, jobs):
    """Return the tables `sent`, `records` and `children` of a trial's jobs, numbered as they come."""
    sent, records, children = [], [], []
    for seq, job in enumerate(jobs):
        instants = [trial.began_at + job["due_s"]]
        for took_s in job["took_s"]:
            instants.append(instants[-1] + took_s)
        due_at, sent_at, received_at, started_at, finished_at = instants
        key = {"trial": trial.trial, "seq": seq, "due_at": due_at, "sent_at": sent_at}
        sent.append({**key, "part": job["part"], "accepted_at": sent_at if job["accepted"] else None})
        record = {
            **key, "lane": trial.lane, "node": f"{trial.lane}@host", "pool": trial.lane, "pid": 10,
            "thread_id": seq % trial.slots, "received_at": received_at, "started_at": started_at,
            "finished_at": finished_at, "cpu_s": 0.001, "attempt": 1, "redelivered": False, "gil": True,
            "outcome": "succeeded", **job["record"],
        }  # fmt: skip
        if record["outcome"] is not None:
            records.append(record)
        children += [{**record, "finished_at": finished_at + after_s} for after_s in job["children"]]
    return {
        "sent": pl.DataFrame(sent, schema=SENT_SCHEMA),
        "records": pl.DataFrame(records, schema=RECORD_SCHEMA),
        "children": pl.DataFrame(children, schema=RECORD_SCHEMA),
    }


def a_sample(trial, at_s, **changes):
    """Return a sample of a trial's node."""
    return {
        "lane": trial.lane, "node": f"{trial.lane}@host", "at": trial.began_at + at_s, "cpu_s": 1.0,
        "pss_bytes": 50 << 20, "private_bytes": 40 << 20, "processes": 1, "threads": 3, "drift_s": 0.0, **changes,
    }  # fmt: skip


def a_run(*trials_and_jobs, samples=(), settings=(), manifest=(), **changes):
    """
    Return a run.

    Args:
        trials_and_jobs: Trials, each followed by its jobs.
        samples: Of nodes.
        settings: Of the manifest, as `recorded` takes them.
        manifest: Other keys of it.
        changes: To the run's other fields.
    """
    trials = list(trials_and_jobs[::2])
    tables = [tables_of(trial, jobs) for trial, jobs in zip(trials, trials_and_jobs[1::2], strict=True)]
    fields = {
        "path": Path("run"),
        "manifest": manifest_of(recorded(**{"kind": "load", **dict(settings)}), **dict(manifest)),
        "trials": trials,
        **{name: pl.concat([table[name] for table in tables]) for name in ("sent", "records", "children")},
        "samples": pl.DataFrame(list(samples), schema=SAMPLE_SCHEMA),
        "pings": [],
    }
    return Run(**{**fields, **changes})
