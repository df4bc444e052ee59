"""
The stages of a job: the one table of the durations between two instants of its life.

Reports, thresholds, charts, exports, metrics and the live view all take their durations from here, so that one name is
one formula everywhere.

    due -> sent -> received -> started -> returned -> finished
      lag    broker   slot      service     children
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """
    One stage of a job.

    Attributes:
        name: The name in thresholds, exports and summaries.
        title: The name in reports and charts.
        begin: The column of the instant at which it begins.
        end: The column of the instant at which it ends.
        meaning: A sentence that explains it.
        of_all_sent: True if it is known of every job that was sent, not only of those that succeeded.
    """

    name: str
    title: str
    begin: str
    end: str
    meaning: str
    of_all_sent: bool = False

    @property
    def took_s(self) -> pl.Expr:
        """The duration in seconds, of a table that has both columns."""
        return pl.col(self.end) - pl.col(self.begin)

    def durations_s(self, jobs: pl.DataFrame) -> NDArray[np.float64]:
        """
        Return the stage's duration of each job, in seconds.

        Args:
            jobs: One row a job: `first_successes` of records, or the table `sent` for a stage of all that were sent.

        Returns:
            One value a row; NaN where an instant is unknown.
        """
        return jobs.select(self.took_s.cast(pl.Float64)).to_series().to_numpy()


_ALL = (
    Stage(
        name="sojourn",
        title="sojourn",
        begin="due_at",
        end="finished_at",
        meaning="From due to finished, the jobs that it started included: what a user feels.",
    ),
    Stage(
        name="sojourn_from_sent",
        title="sojourn from sent",
        begin="sent_at",
        end="finished_at",
        meaning="From sent to finished: what a generator that waits its turn would have reported.",
    ),
    Stage(
        name="sojourn_without_children",
        title="sojourn without children",
        begin="due_at",
        end="returned_at",
        meaning="From due to the return of the job itself.",
    ),
    Stage(
        name="queue_wait",
        title="queue wait",
        begin="sent_at",
        end="started_at",
        meaning="From sent to started: in the broker and waiting for a slot.",
    ),
    Stage(
        name="broker_wait",
        title="in broker",
        begin="sent_at",
        end="received_at",
        meaning="From sent until the node received the message.",
    ),
    Stage(
        name="slot_wait",
        title="waits for slot",
        begin="received_at",
        end="started_at",
        meaning="From received until a slot began it.",
    ),
    Stage(
        name="service",
        title="service",
        begin="started_at",
        end="returned_at",
        meaning="The job itself in its slot, without the jobs that it started.",
    ),
    Stage(
        name="service_with_children",
        title="service with children",
        begin="started_at",
        end="finished_at",
        meaning="From started until the job and all jobs that it started had finished.",
    ),
    Stage(
        name="publish_lag",
        title="publish lag",
        begin="due_at",
        end="sent_at",
        meaning="From due to sent, of all jobs that were sent: the generator's own lateness.",
        of_all_sent=True,
    ),
)

STAGES: Mapping[str, Stage] = MappingProxyType({stage.name: stage for stage in _ALL})
"""Every stage by its name."""


def with_returns(records: pl.DataFrame) -> pl.DataFrame:
    """Add when each delivery returned, which in records, where the jobs that it started are apart, is its finish."""
    return records.with_columns(returned_at=pl.col("finished_at"))
