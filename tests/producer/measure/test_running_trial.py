"""A running trial hands on what was asked of it."""

import time

from producer.measure.order import Order
from producer.measure.running_trial import RunningTrial
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import constant
from producer.plan.jobs import Jobs
from producer.plan.lanes import Lane
from producer.rundir.trials import Kind


class Publishers:
    def begin(self, _order):
        return 1000.0


class Collector:
    missing = missing_children = 0

    def expect(self, *_):
        pass


def test_the_lead_in_of_a_trial_is_written_down():
    lane = Lane(key="threads", pool="threads", slots=2)
    jobs, plan = Jobs.of("sleep", "worker.sleep", expected_s=0.01), constant(10.0, 2.0)
    spec = TrialSpec(kind=Kind.LATENCY, jobs=jobs, lane=lane, plan=plan, lead_in_s=0.5)
    order = Order(run_id="00" * 8, trial=3, calls=jobs.calls, queue="q", plan=plan)
    trial = RunningTrial(spec, order, Publishers(), Collector(), None, time.monotonic).trial()
    assert (trial.trial, trial.began_at, trial.lead_in_s) == (3, 1000.0, 0.5)
