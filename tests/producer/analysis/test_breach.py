"""Since when a threshold was broken: the second, the job or the sample with which it broke."""

from dataclasses import replace

import polars as pl
import pytest

from producer.analysis.breach import CountedJobs, first_breach_s
from producer.plan.thresholds import parse_threshold
from producer.rundir.schema import SAMPLE_SCHEMA
from producer.rundir.trials import Kind, Trial

BEGAN_AT = 1000.0
MIB = 2**20
TRIAL = Trial(
    trial=0, kind=Kind.LOAD, workload="sleep", lane="threads", round=0, jobs=10, rate_per_s=1.0, slots=2,
    began_at=BEGAN_AT, ended_at=BEGAN_AT + 12.0, planned_s=10.0,
)  # fmt: skip
SENT = {"offset_s": pl.Float64, "due_at": pl.Float64, "sent_at": pl.Float64, "fate": pl.String}
INSTANTS = ("due_at", "sent_at", "received_at", "started_at", "returned_at", "finished_at")
DONE = {"offset_s": pl.Float64, **dict.fromkeys(INSTANTS, pl.Float64)}


def seen(sent=(), done=(), samples=(), trial=TRIAL):
    """
    Jobs and samples as they were seen.

    Args:
        sent: (offset, fate) of each job.
        done: (offset, sojourn) of each job that succeeded; it was sent when due and waited for nothing.
        samples: (offset, node, bytes) of each.
        trial: In which.
    """
    offered = [
        {"offset_s": at_s, "due_at": BEGAN_AT + at_s, "sent_at": BEGAN_AT + at_s, "fate": fate} for at_s, fate in sent
    ]
    ended = [
        {
            "offset_s": at_s,
            **dict.fromkeys(INSTANTS, BEGAN_AT + at_s),
            **dict.fromkeys(("returned_at", "finished_at"), BEGAN_AT + at_s + took_s),
        }
        for at_s, took_s in done
    ]
    sampled = [
        {"lane": node.partition("@")[0], "node": node, "at": BEGAN_AT + at_s, "pss_bytes": pss_bytes}
        for at_s, node, pss_bytes in samples
    ]
    return CountedJobs(
        trial=trial,
        sent=pl.DataFrame(offered, schema=SENT),
        done=pl.DataFrame(ended, schema=DONE),
        samples=pl.DataFrame(sampled, schema=SAMPLE_SCHEMA),
    )


def since(text, limit=None, **what):
    threshold = parse_threshold(text)
    return first_breach_s(threshold, threshold.limit if limit is None else limit, seen(**what))


def test_a_time_is_broken_from_the_second_whose_own_jobs_break_it():
    """Those due in second 3 take 0.25 and 1 s: their median is 0.25, their p99 and their mean are more than 0.5."""
    done = [(0.0, 0.25), (2.5, 0.5), (3.0, 0.25), (3.75, 1.0), (4.0, 9.0), (4.5, 9.0)]
    assert since("p99(sojourn) <= 500ms", done=done) == 3.0
    assert since("p99(sojourn) < 500ms", done=done) == 2.0
    assert since("mean(sojourn) <= 500ms", done=done) == 3.0
    assert since("p50(sojourn) <= 500ms", done=done) == 4.0
    assert since("p99.9(service) < 5s", done=done) == 4.0


def test_a_time_that_no_second_breaks_by_itself_has_no_such_second():
    done = [(at_s, took_s) for at_s in (0.0, 1.0) for took_s in (0.25, 0.5, 2.0)]
    assert since("p50(sojourn) < 1s", done=done) is None
    assert since("p50(sojourn) < 1s", done=[]) is None


def test_a_time_of_a_stretch_that_is_not_the_sojourn_is_its_own():
    assert since("max(queue_wait) < 1ms", done=[(0.0, 9.0)]) is None
    assert since("max(service) < 1ms", done=[(0.0, 9.0)]) == 0.0


def test_a_count_is_broken_when_the_job_was_due_with_which_it_broke():
    sent = [(4.0, "failed"), (0.5, "done"), (1.5, "failed"), (2.5, "lost"), (6.25, "failed")]
    assert since("failed == 0", sent=sent) == 1.5
    assert since("failed <= 2", sent=sent) == 6.25
    assert since("failed < 2", sent=sent) == 4.0
    assert since("lost == 0", sent=sent) == 2.5


def test_a_count_of_which_there_are_too_few_was_never_reached():
    assert since("failed > 3", sent=[(0.5, "failed"), (1.5, "failed")]) is None
    assert since("failed >= 1", sent=[(0.5, "done")]) is None


def test_memory_is_broken_from_the_first_sample_that_is_too_much():
    """Two slots: 30 MiB each is 60 in all."""
    samples = [(2.0, "threads@host", 70 * MIB), (1.0, "threads@host", 50 * MIB), (0.5, "prefork@host", 900 * MIB)]
    assert since("mem_per_slot < 30MiB", samples=samples) == 2.0


def test_memory_is_that_of_all_nodes_of_the_lane_together():
    samples = [(1.0, "threads@a", 40 * MIB), (1.5, "threads@b", 10 * MIB), (2.0, "threads@b", 30 * MIB)]
    assert since("mem_per_slot < 30MiB", samples=samples) == 2.0


def test_memory_counts_while_the_lane_was_loaded_and_only_where_it_is_known():
    samples = [(-1.0, "threads@host", 90 * MIB), (3.0, "threads@host", None), (12.5, "threads@host", 90 * MIB)]
    assert since("mem_per_slot < 30MiB", samples=samples) is None


def test_a_rate_is_broken_from_the_second_after_which_it_was_never_kept_again():
    """A job a second until second 4, at half the offset: at 5 there are 5 in 5 s, at 6 still 5, which is below 0.9."""
    done = [(second + 0.25, 0.25) for second in range(5)]
    assert since("rate(finished) > 0.9/s", done=done) == 5.0
    # It also falls short at first, and that is made up for.
    late = [(0.0, 1.75), (0.5, 1.375), *done[2:]]
    assert since("rate(finished) > 0.9/s", done=late) == 5.0


def test_a_rate_that_was_never_kept_is_broken_from_the_start():
    assert since("rate(finished) > 5/s", done=[(0.0, 0.25)]) == 0.0
    assert since("rate(finished) > 5/s", done=[]) == 0.0


def test_a_part_of_what_was_offered_is_held_against_the_limit_that_it_came_to():
    done = [(second + 0.25, 0.25) for second in range(5)]
    assert since("rate(finished) > 0.5 * offered", limit=0.9, done=done) == 5.0
    assert since("rate(finished) > 0.5 * offered", limit=0.7, done=done) == 7.0


def test_the_rate_of_sending_is_that_of_sending():
    sent = [(float(second), "lost") for second in range(3)]
    assert since("rate(sent) > 0.9/s", sent=sent, done=[(0.0, 0.5)]) == 3.0


@pytest.mark.parametrize(("planned_s", "since_s"), [(None, 4.0), (2.0, 2.0)])
def test_a_trial_whose_time_nobody_planned_takes_until_its_last_job(planned_s, since_s):
    trial = replace(TRIAL, planned_s=planned_s)
    done = [(at_s, 0.5) for at_s in (0.0, 0.25, 1.0, 3.0, 3.9)]
    assert since("rate(finished) >= 1/s", done=done, trial=trial) == since_s
