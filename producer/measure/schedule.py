"""Sends the jobs of a plan when they are due, and takes a revised plan in mid-trial."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from kombu.exceptions import OperationalError

from producer.measure.order import BATCH_JOBS, Order
from producer.plan.arrivals import split
from producer.rundir.schema import SENT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


LOOK_S = 0.05
"""The longest sleep of a publisher before it checks for a revision of its order."""

REVISION_LEAD_S = 0.3
"""How far ahead a revision takes effect, so that every publisher has it by then."""


class OrderRevisions:
    """The mailbox of one publisher: a revised order comes in, counts of jobs go out."""

    def __init__(self, counts: Any) -> None:
        self._counts = counts
        self._latest: Order | None = None

    def revise(self, order: Order) -> None:
        """Replace the order that is worked on; jobs that are due before the first change are the same in both."""
        self._latest = order

    def revision(self, order: Order) -> Order | None:
        """Return the order that replaces this one, or None if it still holds."""
        latest = self._latest
        return latest if latest is not None and latest is not order and latest.trial == order.trial else None

    def count(self, accepted: int, refused: int) -> None:
        """Count jobs that the broker accepted and refused."""
        self._counts[0] += accepted
        self._counts[1] += refused


def send_when_due(
    order: Order,
    *,
    start_at: float,
    part: tuple[int, int],
    send: Callable[[Order, Sequence[tuple[int, float]], Callable[[], float]], list[float]],
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    revisions: OrderRevisions | None = None,
) -> pl.DataFrame:
    """
    Send one publisher's share of a plan: sleep until the next job is due, then send all that are.

    Late jobs are sent at once and keep the due instant of the plan, so lateness shows as publish lag and nothing else.

    Args:
        order: What to send.
        start_at: Instant of the plan's zero.
        part: This publisher's number, and the number of publishers.
        send: Hands a batch to the broker.
        now: The clock; a test passes its own.
        sleep: Waits; a test passes its own.
        revisions: The mailbox for revised orders.

    Returns:
        One row a job, in the layout of `SENT_SCHEMA`; `accepted_at` is null where the broker did not take it.
    """
    revisions = revisions or OrderRevisions([0, 0])
    share = PublisherShare(order, start_at, part)
    while True:
        if revised := revisions.revision(share.order):
            share = share.revised(revised)
        next_at = share.next_at(now())
        if next_at is None:
            return share.ledger()
        wait_s = next_at - now()
        if wait_s > 0:
            sleep(min(wait_s, LOOK_S) if share.order.open_s else wait_s)
        jobs = share.due(now())
        if not jobs:
            continue
        try:
            share.sent(send(share.order, jobs, now), now())
            revisions.count(len(jobs), 0)
        except OperationalError:
            share.refused(len(jobs), now())
            revisions.count(0, len(jobs))


class PublisherShare:
    """One publisher's part of an order, and how far it has been sent."""

    def __init__(self, order: Order, start_at: float, part: tuple[int, int]) -> None:
        number, parts = part
        self.order = order
        self._start_at = start_at
        self._part = part
        self._seqs, due_s = split(order.plan, parts, number)
        self._due_at = due_s + start_at
        self._sent_at = np.full(len(self._seqs), np.nan)
        self._accepted_at = np.full(len(self._seqs), np.nan)
        self._first = 0

    def revised(self, order: Order) -> PublisherShare:
        """Return the share of a revised order, in which what has been sent stays as it is."""
        new = PublisherShare(order, self._start_at, self._part)
        done = self._first
        for name in ("_seqs", "_due_at", "_sent_at", "_accepted_at"):
            setattr(new, name, np.concatenate([getattr(self, name)[:done], getattr(new, name)[done:]]))
        new._first = done
        return new

    def next_at(self, now: float) -> float | None:
        """Return when to look again: the next due instant, the end of revisions, or None if all is sent."""
        if self._first < len(self._seqs):
            return float(self._due_at[self._first])
        open_until = self._start_at + self.order.open_s
        return open_until if now < open_until else None

    def due(self, now: float) -> list[tuple[int, float]]:
        """Return the next batch: sequence number and due instant of each job that is due."""
        last = min(int(np.searchsorted(self._due_at, now, side="right")), self._first + BATCH_JOBS)
        here = slice(self._first, max(last, self._first))
        return list(zip(self._seqs[here].tolist(), self._due_at[here].tolist(), strict=True))

    def sent(self, sent_at: Sequence[float], accepted_at: float) -> None:
        """Note that the broker accepted the next jobs."""
        here = slice(self._first, self._first + len(sent_at))
        self._sent_at[here] = sent_at
        self._accepted_at[here] = accepted_at
        self._first += len(sent_at)

    def refused(self, jobs: int, sent_at: float) -> None:
        """Note that the broker refused the next jobs."""
        self._sent_at[self._first : self._first + jobs] = sent_at
        self._first += jobs

    def ledger(self) -> pl.DataFrame:
        """Return one row a job, in the layout of `SENT_SCHEMA`."""
        columns = {
            "trial": np.full(len(self._seqs), self.order.trial),
            "seq": self._seqs,
            "part": self.order.plan.parts_of(self._seqs),
            "due_at": self._due_at,
            "sent_at": self._sent_at,
            "accepted_at": self._accepted_at,
        }
        frame = pl.DataFrame(columns).cast(SENT_SCHEMA)  # type: ignore[arg-type]
        return frame.with_columns(pl.col("accepted_at").fill_nan(None))
