"""A run that was read: its manifest, trials and tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.rundir.schema import PROCESS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from producer.rundir.events import Event
    from producer.rundir.manifest import Manifest
    from producer.rundir.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    The contents of a run directory.

    Attributes:
        path: Where it is.
        manifest: What was asked, on what.
        trials: The trials that ended, in order.
        records: All parts, in the layout of `RECORD_SCHEMA`.
        sent: All parts, in the layout of `SENT_SCHEMA`.
        samples: All parts, in the layout of `SAMPLE_SCHEMA`.
        children: Records of jobs that others started, each under the number of the one that was sent.
        pings: Control pings.
        events: What happened meanwhile, in the order in which it was seen.
        processes: All parts, in the layout of `PROCESS_SCHEMA`.
    """

    path: Path
    manifest: Manifest
    trials: Sequence[Trial]
    records: pl.DataFrame
    sent: pl.DataFrame
    samples: pl.DataFrame
    children: pl.DataFrame
    pings: Sequence[Mapping[str, Any]]
    events: Sequence[Event] = ()
    processes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PROCESS_SCHEMA))
