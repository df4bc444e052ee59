"""A trial in bins: each instant in its own, the backlog at its highest, and nothing of a job that is not known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import BEGAN_AT, a_job, a_run, a_trial

from producer.analysis.bins import MOST_BINS, backlog, bin_length_s, binned, edges_of, length_s, per_s, waits

SECONDS = edges_of(3.5, 1.0)
"""Bins of a second from 0 to 4 s."""


def s(*instants):
    return np.array(instants, dtype=np.float64)


@pytest.mark.parametrize(
    ("span_s", "bin_s"), [(0.6, 0.05), (5.0, 0.5), (20.0, 1.0), (600.0, 1.0), (601.0, 2.0), (86_400.0, 200.0)]
)
def test_bins_are_round_and_never_too_many(span_s, bin_s):
    assert bin_length_s(span_s) == pytest.approx(bin_s)
    assert span_s / bin_s <= MOST_BINS


def test_bins_hold_the_very_end_of_their_time():
    assert edges_of(3.5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert edges_of(3.0, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert edges_of(0.3, 0.1) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_rate_is_a_count_by_the_length_of_a_bin():
    assert per_s(s(0.0, 0.9, 1.0, 3.5), SECONDS).tolist() == [2, 1, 0, 1]
    assert per_s(s(0.0, 0.1), edges_of(1.0, 0.5)).tolist() == [4, 0, 0]


def test_what_clocks_put_before_the_zero_is_in_the_first_bin_and_what_comes_late_in_the_last():
    assert per_s(s(-0.25, 9.0), SECONDS).tolist() == [1, 0, 0, 1]


def test_an_edge_that_is_no_whole_binary_number_belongs_to_the_bin_that_begins_there():
    # 0.3 is a little less than three times 0.1.
    assert per_s(s(0.3), edges_of(0.5, 0.1)).tolist() == pytest.approx([0, 0, 0, 10, 0, 0])


def test_a_job_is_ready_until_it_is_taken_and_unacked_until_it_is_settled():
    ready, unacked = backlog(s(0.25), s(1.25), s(2.25), SECONDS)
    # A bin begins with what the one before ended with, and is at its most there unless more come.
    assert ready.tolist() == [1, 1, 0, 0]
    assert unacked.tolist() == [0, 0, 1, 0]


def test_both_are_those_of_one_moment_the_last_at_which_they_are_most_together():
    # Two are sent at 0.1 and 0.2 s, one is taken at 0.5 s, and that one is settled at 0.8 s.
    ready, unacked = backlog(s(0.1, 0.2), s(0.5), s(0.8), SECONDS)
    assert (ready[0], unacked[0]) == (1, 1)
    assert (ready[1:].tolist(), unacked[1:].tolist()) == ([1, 1, 1], [0, 0, 0])


def test_a_bin_that_only_falls_has_the_level_that_it_begins_with():
    ready, unacked = backlog(s(0.1, 0.2, 0.3), s(1.1, 1.2, 1.3), s(1.4, 1.5, 1.6), SECONDS)
    assert (ready + unacked).tolist() == [3, 3, 0, 0]


def test_without_a_job_nothing_waits():
    assert backlog(s(), s(), s(), SECONDS).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 2), st.floats(0, 2)), max_size=30))
def test_no_backlog_is_below_zero_or_above_what_was_sent(jobs):
    sent_s = s(*(sent for sent, _, _ in jobs))
    taken_s = sent_s + s(*(wait for _, wait, _ in jobs))
    settled_s = taken_s + s(*(ran for _, _, ran in jobs))
    ready, unacked = backlog(sent_s, taken_s, settled_s, edges_of(8.0, 0.5))
    assert (ready >= 0).all()
    assert (unacked >= 0).all()
    assert (ready + unacked <= len(jobs)).all()
    assert (ready + unacked)[-1] == 0


def test_waits_are_those_of_the_jobs_begun_in_a_bin():
    p50, longest = waits(s(0.1, 0.2, 0.3, 2.5), s(0.2, 0.1, 0.9, 0.4), SECONDS)
    assert (p50[0], longest[0], p50[2], longest[2]) == (0.2, 0.9, 0.4, 0.4)
    assert np.isnan(p50[[1, 3]]).all()


def test_where_no_job_was_begun_no_wait_is_known():
    assert np.isnan(waits(s(), s(), SECONDS)).all()


def run_of(*jobs, samples=(), planned_s=None):
    seen = [{"lane": lane, "node": node, "at": BEGAN_AT + at_s, "cpu_s": cpu_s} for lane, node, at_s, cpu_s in samples]
    return a_run(a_trial(ended_at=BEGAN_AT + 4, planned_s=planned_s), jobs, samples=seen)


def cut(run, *, acks_late=False):
    return binned(run, run.trials[0], 1.0, acks_late=acks_late)


JOB = a_job(broker_s=0.5, wait_s=1.0, service_s=1.0)
"""Sent at 0, received at 0.5, started at 1.5 and finished at 2.5 s."""


DROPPED = a_job(broker_s=0.5, wait_s=1.0, service_s=0.0, outcome="revoked", started_at=None)
"""Received at 0.5 and dropped at 1.5 s."""


def test_a_trial_is_as_long_as_its_plan_or_as_its_last_end():
    run = run_of(JOB)
    assert length_s(run, run.trials[0]) == 2.5
    planned = run_of(JOB, planned_s=9.0)
    assert length_s(planned, planned.trials[0]) == 9.0


def test_rates_backlog_and_waits_of_one_job():
    found = cut(run_of(JOB))
    assert found.at_s.tolist() == [0.5, 1.5, 2.5]
    assert found.offered_per_s.tolist() == [1, 0, 0]
    assert found.started_per_s.tolist() == [0, 1, 0]
    assert found.finished_per_s.tolist() == [0, 0, 1]
    # Acknowledged as a slot takes it, at 1.5 s.
    assert (found.ready.tolist(), found.unacked.tolist()) == ([0, 0, 0], [1, 1, 0])
    assert found.wait_p50_s[1] == 1.5


def test_a_late_acknowledgement_comes_with_the_end():
    assert cut(run_of(JOB), acks_late=True).backlog.tolist() == [1, 1, 1]


def test_a_job_that_was_dropped_before_a_slot_took_it_is_settled_as_it_is_dropped():
    assert cut(run_of(DROPPED, JOB)).backlog.tolist() == [2, 2, 0]


def test_a_retry_settles_nothing_and_finishes_nothing():
    found = cut(run_of(a_job(broker_s=0.5, wait_s=0.25, service_s=1.75, outcome="retried")))
    assert found.backlog.tolist() == [1, 1, 1]
    assert found.finished_per_s.tolist() == [0, 0, 0]


def test_a_failed_job_is_settled_and_not_finished():
    found = cut(run_of(a_job(broker_s=0.5, wait_s=0.25, service_s=1.75, outcome="failed")))
    assert (found.finished_per_s.sum(), found.backlog[-1]) == (0, 0)


def test_a_job_that_the_broker_refused_was_offered_and_is_no_backlog():
    found = cut(run_of(JOB, a_job(0.25, accepted=False, outcome=None)))
    assert found.offered_per_s.tolist() == [2, 0, 0]
    assert found.backlog.tolist() == [1, 1, 0]


def test_a_job_of_which_no_node_reported_is_ready_to_the_end():
    found = cut(run_of(JOB, a_job(0.25, outcome=None)))
    assert found.ready.tolist() == [1, 1, 1]


def test_cores_are_cpu_seconds_between_samples_of_the_lanes_own_nodes():
    samples = [
        ("threads", "b", 0.0, 1.0), ("threads", "b", 2.0, 4.0), ("threads", "a", 1.0, 0.0), ("threads", "a", 1.5, 0.5),
        ("threads", "a", 1.5, 0.75), ("prefork", "c", 0.0, 0.0), ("prefork", "c", 1.0, 1.0), ("threads", "d", 1.0, 0.0),
        ("threads", "b", 60.0, 9.0),
    ]  # fmt: skip
    cores = cut(run_of(JOB, samples=samples)).cores
    assert {node: (at_s.tolist(), used.tolist()) for node, (at_s, used) in cores.items()} == {
        "a": ([1.5], [1.0]), "b": ([2.0], [1.5]),
    }  # fmt: skip


def test_many_samples_are_thinned():
    samples = [("threads", "a", at / 400, at / 400) for at in range(1000)]
    (_, (at_s, used)), *_ = cut(run_of(JOB, samples=samples)).cores.items()
    assert len(at_s) <= MOST_BINS
    assert used == pytest.approx(np.ones(len(used)))
