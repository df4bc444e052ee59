"""What is known of a load while it runs: broken only by what counts, and hopeless only if nothing can save it."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import figures_of

from poolrace.contract import Outcome
from producer.analysis.early_stop import RunningFigures, can_tell_early
from producer.analysis.percentiles import percentiles
from producer.plan.thresholds import parse_threshold
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA

BEGAN_AT = 1000.0
MIB = 2**20


def every(due_s):
    return np.full(len(due_s), True)


def from_2_s(due_s):
    return due_s >= 2.0


def job(seq, due_s, sojourn_s, outcome="succeeded"):
    """A job that was sent when it was due, started at once, and took its time."""
    at = BEGAN_AT + due_s
    return {
        "seq": seq, "due_at": at, "sent_at": at, "received_at": at, "started_at": at, "finished_at": at + sojourn_s,
        "outcome": outcome,
    }  # fmt: skip


def sample(at_s, pss_bytes, lane="threads"):
    return {"lane": lane, "node": f"{lane}@host", "at": BEGAN_AT + at_s, "pss_bytes": pss_bytes}


class Watch:
    """A load with thresholds, of which some jobs have ended."""

    def __init__(self, *thresholds, jobs=100, slots=2, counts=every):
        self.so_far = RunningFigures([parse_threshold(text) for text in thresholds], slots=slots, counts=counts)
        self.jobs = jobs
        self.ended = 0

    def add(self, *records, children=(), samples=()):
        self.so_far.add(
            SimpleNamespace(
                began_at=BEGAN_AT,
                of=self.jobs,
                records=pl.DataFrame(list(records), schema=RECORD_SCHEMA),
                children=pl.DataFrame(list(children), schema=RECORD_SCHEMA),
                samples=pl.DataFrame(list(samples), schema=SAMPLE_SCHEMA),
            )
        )
        return self

    def took(self, *sojourns_s):
        """The next jobs took so long."""
        first, self.ended = self.ended, self.ended + len(sojourns_s)
        return self.add(*[job(first + place, 0.0, each) for place, each in enumerate(sojourns_s)])

    def broken(self):
        found = self.so_far.broken("threads")
        return found and (found.threshold, found.measured)

    def cannot_pass(self):
        return self.so_far.cannot_pass(self.jobs)


def test_before_anything_has_ended_nothing_is_broken():
    watch = Watch("p99(sojourn) < 500ms", "failed == 0", "mem_per_slot < 1MiB")
    assert watch.broken() is None
    assert not watch.cannot_pass()
    assert watch.add().broken() is None


def test_a_percentile_is_that_of_the_jobs_that_have_ended():
    watch = Watch("p50(sojourn) < 500ms").took(0.25, 0.25, 1.0)
    assert watch.broken() is None
    assert watch.took(1.0, 0.75).broken() == ("p50(sojourn) < 500ms", 0.75)


def test_a_percentile_that_was_broken_may_be_kept_again():
    watch = Watch("p50(sojourn) < 500ms").took(1.0)
    assert watch.broken() == ("p50(sojourn) < 500ms", 1.0)
    assert watch.took(0.25).broken() is None


def test_the_first_threshold_that_is_broken_is_told():
    watch = Watch("max(sojourn) < 5s", "mean(sojourn) < 1s", "max(service) < 1s").took(2.0, 1.0)
    assert watch.broken() == ("mean(sojourn) < 1s", 1.5)


def test_every_stretch_is_of_the_job_that_it_is_named_after():
    at = {"due_at": 1000.0, "sent_at": 1001.0, "received_at": 1003.0, "started_at": 1007.0, "finished_at": 1015.0}
    for stretch, expected_s in {
        "publish_lag": 1.0, "broker_wait": 2.0, "slot_wait": 4.0, "service": 8.0, "queue_wait": 6.0,
        "sojourn_from_sent": 14.0, "sojourn": 15.0, "sojourn_without_children": 15.0, "service_with_children": 8.0,
    }.items():  # fmt: skip
        watch = Watch(f"max({stretch}) < 1ms").add({"seq": 0, "outcome": "succeeded", **at})
        assert watch.broken() == (f"max({stretch}) < 1ms", expected_s)


def test_what_was_due_before_the_trial_began_is_left_out():
    """A node's last records of the warm-up come with the first of the trial."""
    watch = Watch("max(sojourn) < 1s", "failed == 0")
    assert watch.add(job(0, -0.5, 9.0), job(1, -0.25, 0.1, "failed")).broken() is None
    assert watch.add(job(2, 0.0, 9.0)).broken() == ("max(sojourn) < 1s", 9.0)


def test_what_is_due_in_a_phase_that_does_not_count_is_left_out():
    watch = Watch("max(sojourn) < 1s", "failed == 0", counts=from_2_s)
    assert watch.add(job(0, 0.0, 9.0), job(1, 1.75, 0.1, "failed")).broken() is None
    assert watch.add(job(2, 2.0, 3.0)).broken() == ("max(sojourn) < 1s", 3.0)


def test_jobs_that_are_not_in_the_plan_are_left_out():
    watch = Watch("max(sojourn) < 1s", "failed == 0", jobs=3)
    assert watch.add(job(3, 0.0, 9.0), job(4, 0.0, 0.1, "failed")).broken() is None


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REVOKED, Outcome.RETRIED])
def test_failed_revoked_and_retried_are_counted_and_their_times_are_not(outcome):
    watch = Watch(f"{outcome.label} <= 2", "max(sojourn) < 1s")
    watch.add(*[job(seq, 0.0, 9.0, outcome.label) for seq in range(2)])
    assert watch.broken() is None
    assert watch.add(job(2, 0.0, 9.0, outcome.label)).broken() == (f"{outcome.label} <= 2", 3)


def test_a_job_that_ended_twice_is_one_value():
    watch = Watch("p50(sojourn) < 1s").add(job(0, 0.0, 5.0), job(1, 0.0, 0.5), job(0, 0.0, 5.0))
    assert watch.broken() is None


def test_a_job_that_started_others_has_finished_when_the_last_of_them_has():
    """Service is the job's own 0.5 s; its sojourn lasts until the later child ends, whichever record comes first."""
    texts = ("max(sojourn) < 1ms", "max(service) < 1ms", "max(service_with_children) < 1ms")
    for early, late in (((0.75, 3.0), ()), ((), (0.75, 3.0)), ((3.0,), (0.75,))):
        found = {}
        for text in texts:
            watch = Watch(text)
            watch.add(children=[job(0, 0.0, each) for each in early])
            watch.add(job(0, 0.0, 0.5))
            found[text] = watch.add(children=[job(0, 0.0, each) for each in late]).broken()[1]
        assert list(found.values()) == [3.0, 0.5, 3.0]


def test_of_a_job_that_succeeded_twice_the_first_success_counts():
    watch = Watch("max(service) < 1s").add(job(0, 0.0, 0.5))
    assert watch.add(job(0, 0.0, 9.0)).broken() is None


def test_memory_is_the_median_of_the_lanes_own_samples_by_slot():
    """Two slots, samples of 20, 60 and 40 MiB: the median is 40, so 20 a slot."""
    watch = Watch("mem_per_slot < 20MiB", slots=2)
    watch.add(samples=[sample(0, 20 * MIB), sample(0, 900 * MIB, lane="prefork")])
    assert watch.broken() is None
    watch.add(samples=[sample(1, 60 * MIB)])
    assert watch.broken() == ("mem_per_slot < 20MiB", 20 * MIB)
    assert watch.add(samples=[sample(2, 38 * MIB)]).broken() is None


def test_memory_that_a_system_does_not_tell_breaks_nothing():
    assert Watch("mem_per_slot < 1MiB").add(samples=[sample(0, None)]).broken() is None


@pytest.mark.parametrize(
    "text", ["lost == 0", "duplicated == 0", "refused == 0", "queued == 0", "rate(finished) > 50/s", "rate(sent) > 1/s"]
)
def test_what_only_the_end_can_tell_breaks_nothing_before_it(text):
    assert not can_tell_early(parse_threshold(text))
    watch = Watch(text).took(9.0)
    assert watch.broken() is None
    assert not watch.cannot_pass()


@pytest.mark.parametrize(
    ("text", "jobs", "allowed"),
    [
        ("p99(sojourn) < 500ms", 100, 1),
        ("p99(sojourn) < 500ms", 99, 0),
        ("p99(sojourn) < 500ms", 250, 2),
        ("p99(sojourn) <= 500ms", 100, 1),
        ("p50(sojourn) < 500ms", 100, 50),
        ("p50(sojourn) < 500ms", 7, 3),
        ("p90(sojourn) < 500ms", 100, 10),
        ("p99.9(sojourn) < 500ms", 999, 0),
        ("p99.9(sojourn) < 500ms", 1000, 1),
        ("max(sojourn) < 500ms", 100, 0),
    ],
)
def test_it_is_hopeless_with_one_value_more_beyond_the_limit_than_the_rank_allows(text, jobs, allowed):
    """The rank of p99 among 100 values is 99, so one may lie beyond it, and two may not."""
    watch = Watch(text, jobs=jobs).took(*[1.0] * allowed, 0.25)
    assert not watch.cannot_pass()
    assert watch.took(1.0).cannot_pass()


def test_a_value_at_the_limit_is_not_beyond_it():
    assert not Watch("max(sojourn) <= 500ms").took(*[0.5] * 100).cannot_pass()


@pytest.mark.parametrize(
    "text", ["mean(sojourn) < 1ms", "p50(sojourn) > 500ms", "max(sojourn) >= 500ms", "failed == 0"]
)
def test_what_the_other_jobs_can_still_put_right_is_never_hopeless(text):
    assert not Watch(text).took(*[1.0] * 99).cannot_pass()


def test_a_plan_that_grew_may_be_kept_again_and_one_that_shrank_forgets_what_is_not_in_it():
    watch = Watch("p99(sojourn) < 500ms", jobs=100).took(1.0, 1.0)
    assert watch.cannot_pass()
    watch.jobs = 200
    assert not watch.add().cannot_pass()
    watch.jobs = 1
    assert watch.add().cannot_pass()
    watch.jobs = 100
    assert not watch.add().cannot_pass()


LIMITS = st.sampled_from(["p50", "p90", "p99", "p99.9", "max"])
QUARTERS = st.integers(0, 9).map(lambda n: n / 4)
SOJOURNS = st.lists(QUARTERS, min_size=1, max_size=120)


@given(LIMITS, st.sampled_from(["<", "<="]), QUARTERS, SOJOURNS, SOJOURNS)
def test_what_is_hopeless_is_broken_in_the_end_whatever_the_other_jobs_take(name, operator, limit_s, known_s, others_s):
    threshold = parse_threshold(f"{name}(sojourn) {operator} {limit_s}s")
    watch = Watch(threshold.text, jobs=len(known_s) + len(others_s)).took(*known_s)
    if watch.cannot_pass():
        spread = percentiles(np.array(known_s + others_s))
        figures = figures_of(sojourn=spread)
        assert not threshold.judge(figures).kept


@given(LIMITS, QUARTERS, SOJOURNS, st.integers(0, 120))
def test_it_is_hopeless_exactly_if_not_even_jobs_that_take_no_time_can_save_it(name, limit_s, known_s, others):
    threshold = parse_threshold(f"{name}(sojourn) <= {limit_s}s")
    watch = Watch(threshold.text, jobs=len(known_s) + others).took(*known_s)
    spread = percentiles(np.array(known_s + [0.0] * others))
    figures = figures_of(sojourn=spread)
    assert watch.cannot_pass() != threshold.judge(figures).kept
