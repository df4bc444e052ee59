"""The tables of a run directory, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping


SENT_SCHEMA = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "part": pl.UInt8,
    "due_at": pl.Float64,
    "sent_at": pl.Float64,
    "accepted_at": pl.Float64,
}

KEY = ("trial", "seq")
"""The columns that identify a job within a run."""

EVENTS = "events.jsonl"
"""The file of a run's events; it is there from the start."""

FORMAT = 3
"""The format of the run directory. A reader refuses others."""


RUNNING, COMPLETE, INCOMPLETE, INVALID = "running", "complete", "incomplete", "invalid"

RECORD_SCHEMA: Mapping[str, Any] = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "lane": pl.String,
    "node": pl.String,
    "pool": pl.String,
    "pid": pl.UInt32,
    "thread_id": pl.UInt32,
    "due_at": pl.Float64,
    "sent_at": pl.Float64,
    "received_at": pl.Float64,
    "started_at": pl.Float64,
    "finished_at": pl.Float64,
    "cpu_s": pl.Float64,
    "attempt": pl.UInt16,
    "redelivered": pl.Boolean,
    "gil": pl.Boolean,
    "outcome": pl.String,
    "exception": pl.String,
}

SAMPLE_SCHEMA: Mapping[str, Any] = {
    "lane": pl.String,
    "node": pl.String,
    "at": pl.Float64,
    "cpu_s": pl.Float64,
    "pss_bytes": pl.UInt64,
    "private_bytes": pl.UInt64,
    "voluntary_switches": pl.UInt64,
    "involuntary_switches": pl.UInt64,
    "processes": pl.UInt32,
    "threads": pl.UInt32,
    "drift_s": pl.Float64,
}

PROCESS_SCHEMA: Mapping[str, Any] = {
    "lane": pl.String,
    "node": pl.String,
    "at": pl.Float64,
    "pid": pl.UInt32,
    "root": pl.Boolean,
    "rss_bytes": pl.UInt64,
    "open_files": pl.UInt32,
    "sockets": pl.UInt32,
}

TABLES: Mapping[str, Mapping[str, Any]] = {
    "records": RECORD_SCHEMA,
    "sent": SENT_SCHEMA,
    "samples": SAMPLE_SCHEMA,
    "children": RECORD_SCHEMA,
    "processes": PROCESS_SCHEMA,
}
