"""A trial that is running: its plan, its jobs, and when to give up."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from producer.measure.schedule import REVISION_LEAD_S
from producer.rundir.events import EventKind
from producer.rundir.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolrace.clock import BrokerClock
    from producer.measure.collector import Collector
    from producer.measure.order import Order
    from producer.measure.publishers import Publishers
    from producer.measure.remote_publishers import RemotePublishers
    from producer.measure.trial_spec import TrialSpec
    from producer.plan.arrivals import Plan
    from producer.rundir.events import EventLog


class RunningTrial:
    """A running trial: its plan, its beginning, and the time at which it is given up."""

    def __init__(
        self,
        spec: TrialSpec,
        order: Order,
        publishers: Publishers | RemotePublishers,
        collector: Collector,
        clock: BrokerClock,
        monotonic: Callable[[], float],
    ) -> None:
        self.spec = spec
        self.number = order.trial
        self._order = order
        self._publishers = publishers
        self._collector = collector
        self._clock = clock
        self._monotonic = monotonic
        self._planned_s = spec.planned_s
        self._given_up_s: float | None = None
        self._refused, self._refusing = 0, False
        collector.expect(order.trial, order.plan.jobs, spec.lane.key)
        self.began_at = publishers.begin(order)
        self._missing, self._heard_s = order.plan.jobs, self._monotonic()

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self._order.plan

    @property
    def give_up_at(self) -> float:
        """The instant by which all jobs should have ended, however slow the lane; none if nobody knows their length."""
        if self.spec.jobs.timeout_s is not None:
            return math.inf  # a user's own jobs: they may take minutes, and the job timeout says what is too long
        # A lane may run CPU-bound jobs one at a time, and jobs may take several times as long as sized.
        working_s = 4 * self.plan.jobs * max(self.spec.jobs.expected_s, 0.002)
        return self.began_at + max(self.plan.duration_s, self._order.open_s) + working_s

    def heard_s(self) -> float:
        """Return when the end of a job was last heard of, on the monotonic clock."""
        missing = self._collector.missing + self._collector.missing_children
        if missing != self._missing:
            self._missing, self._heard_s = missing, self._monotonic()
        return self._heard_s

    def sent(self) -> bool:
        """Return whether every job has been sent or refused."""
        return sum(self._publishers.progress()) >= self.plan.jobs

    def note_refused(self, events: EventLog) -> None:
        """Note the beginning and the end of refusals by the broker."""
        _, refused = self._publishers.progress()
        refusing = refused > self._refused
        if refusing and not self._refusing:
            events.note(EventKind.REFUSED, lane=self.spec.lane.key, detail="the broker refuses some or all jobs")
        elif self._refusing and not refusing:
            events.note(EventKind.REFUSED, lane=self.spec.lane.key, detail=f"no longer; {refused} so far")
        self._refused, self._refusing = refused, refusing

    def over(self) -> bool:
        """Return whether all jobs have ended and no more can be planned."""
        return not (self._collector.missing or self._collector.missing_children or self.open())

    def open(self) -> bool:
        """Return whether more jobs can still be planned."""
        return self._clock.now() < self.began_at + self._order.open_s

    def replan(self, plan: Plan, planned_s: float) -> None:
        """Continue by another plan, whose jobs are the same until shortly after now."""
        self._planned_s = planned_s
        self._order = replace(self._order, plan=plan, open_s=planned_s)
        self._publishers.revise(self._order)
        self._collector.replan(plan.jobs)

    def give_up(self, at_s: float) -> None:
        """Send nothing that is due after this offset; wait for what was sent."""
        at_s = max(at_s, self._clock.now() - self.began_at) + REVISION_LEAD_S
        at_s = min(at_s, self._planned_s or at_s)
        jobs = int(np.searchsorted(self.plan.due_s, at_s, side="right"))
        parts = None if self.plan.parts is None else self.plan.parts[:jobs]
        self._given_up_s = at_s
        self.replan(replace(self.plan, due_s=self.plan.due_s[:jobs], parts=parts), at_s)

    def trial(self) -> Trial:
        """Return the trial as far as it is known; its end is still its beginning."""
        lane, jobs = self.spec.lane, self.spec.jobs
        return Trial(
            trial=self.number,
            kind=self.spec.kind,
            workload=jobs.workload,
            lane=lane.key,
            round=self.spec.round,
            jobs=self.plan.jobs,
            rate_per_s=self.plan.rate_per_s,
            slots=lane.slots,
            began_at=self.began_at,
            ended_at=self.began_at,
            parts=tuple(call.workload for call in jobs.calls),
            planned_s=self._planned_s,
            lead_in_s=self.spec.lead_in_s,
            given_up_s=self._given_up_s,
            start=self.spec.start,
        )
