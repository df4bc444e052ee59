"""Settlement: every job that was sent has exactly one fate, whatever records came in."""

from dataclasses import fields

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolrace.contract import Outcome
from producer.analysis.settle import Fate, Settlement, count_unknown_records, settle, tally
from producer.rundir.trials import Kind, Trial

SENT = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "due_at": pl.Float64,
    "sent_at": pl.Float64,
    "accepted_at": pl.Float64,
}
RECORDS = {"trial": pl.UInt32, "seq": pl.UInt32, "outcome": pl.String}

S, F, RETRY, REVOKED, IGNORED, REJECTED = (outcome.label for outcome in Outcome)


def sent_of(*jobs):
    """Jobs as (trial, seq) or, if the broker did not take it, (trial, seq, None)."""
    rows = [(job[0], job[1], 1.0, 1.0, 1.1 if len(job) == 2 else None) for job in jobs]
    return pl.DataFrame(rows, schema=SENT, orient="row")


def records_of(*records):
    return pl.DataFrame(list(records), schema=RECORDS, orient="row")


def trial_of(trial, queued=()):
    return Trial(
        trial=trial,
        kind=Kind.CAPACITY,
        workload="cpu",
        lane="threads",
        round=0,
        jobs=1,
        rate_per_s=None,
        slots=1,
        began_at=0.0,
        ended_at=1.0,
        queued=tuple(queued),
    )


@pytest.mark.parametrize(
    ("outcomes", "fate"),
    [
        ([S], Fate.DONE),
        ([F], Fate.FAILED),
        ([REVOKED], Fate.REVOKED),
        ([RETRY], Fate.RETRIED),
        ([IGNORED], Fate.DONE),
        ([REJECTED], Fate.FAILED),
        ([], Fate.LOST),
        ([RETRY, S], Fate.DONE),
        ([RETRY, RETRY, F], Fate.FAILED),
        ([RETRY, REVOKED], Fate.REVOKED),
        ([REVOKED, S], Fate.DONE),
        ([REJECTED, S], Fate.DONE),
        ([REJECTED, RETRY], Fate.RETRIED),
        ([REJECTED, REVOKED], Fate.REVOKED),
        ([S, S], Fate.DUPLICATED),
        ([F, S], Fate.DUPLICATED),
        ([F, F], Fate.DUPLICATED),
        ([IGNORED, S], Fate.DUPLICATED),
        ([RETRY, S, S], Fate.DUPLICATED),
        ([REVOKED, REVOKED], Fate.REVOKED),
    ],
)
def test_an_accepted_job_is_settled_by_the_records_of_its_deliveries(outcomes, fate):
    for order in (outcomes, outcomes[::-1]):
        fates = settle(sent_of((0, 0)), records_of(*((0, 0, outcome) for outcome in order)), [trial_of(0)])
        assert fates["fate"].to_list() == [fate]


@pytest.mark.parametrize(
    ("outcomes", "fate"),
    [
        ([], Fate.QUEUED),
        ([REJECTED], Fate.QUEUED),  # handed back, and there for the next node to take
        ([RETRY], Fate.RETRIED),
        ([S], Fate.DONE),  # ran, but was not acknowledged: the message stays, the job is done
    ],
)
def test_a_job_still_on_the_broker_is_queued_unless_a_record_says_more(outcomes, fate):
    records = records_of(*((0, 0, outcome) for outcome in outcomes))
    assert settle(sent_of((0, 0)), records, [trial_of(0, queued=[0])])["fate"].to_list() == [fate]


@pytest.mark.parametrize(
    ("outcomes", "queued", "fate"),
    [
        ([], [], Fate.REFUSED),
        ([S], [], Fate.DONE),  # only the broker's answer was lost
        ([], [0], Fate.QUEUED),
    ],
)
def test_a_job_the_broker_did_not_confirm_is_refused_unless_it_was_seen(outcomes, queued, fate):
    records = records_of(*((0, 0, outcome) for outcome in outcomes))
    assert settle(sent_of((0, 0, None)), records, [trial_of(0, queued)])["fate"].to_list() == [fate]


def test_a_job_of_one_trial_is_not_settled_by_a_record_of_another():
    fates = settle(sent_of((0, 5), (1, 5)), records_of((1, 5, S)), [trial_of(0), trial_of(1)])
    assert fates.rows() == [(0, 5, "lost"), (1, 5, "done")]


def test_a_queue_of_one_trial_says_nothing_about_another():
    fates = settle(sent_of((0, 5), (1, 5)), records_of(), [trial_of(0, queued=[5]), trial_of(1)])
    assert fates.rows() == [(0, 5, "queued"), (1, 5, "lost")]


def test_a_job_sent_in_two_attempts_is_one_job():
    """The broker did not take it at first and did then: accepted, and lost if nothing came back."""
    fates = settle(sent_of((0, 0, None), (0, 0)), records_of(), [trial_of(0)])
    assert fates.rows() == [(0, 0, "lost")]


def test_tallies_are_per_trial_or_for_all():
    sent = sent_of((0, 0), (0, 1), (0, 2), (1, 0), (1, 1, None))
    fates = settle(sent, records_of((0, 0, S), (0, 1, S), (0, 2, F), (1, 0, S)), [trial_of(0), trial_of(1)])
    assert tally(fates, 0) == Settlement(sent=3, done=2, failed=1)
    assert tally(fates, 1) == Settlement(sent=2, done=1, refused=1)
    assert tally(fates) == Settlement(sent=5, done=3, failed=1, refused=1)
    assert tally(fates, 7) == Settlement(sent=0)


def test_records_of_jobs_never_sent_are_counted_apart():
    sent = sent_of((0, 0))
    records = records_of((0, 0, S), (0, 1, S), (0, 1, S), (9, 0, F))
    assert count_unknown_records(sent, records) == 3
    assert tally(settle(sent, records, [trial_of(0)])) == Settlement(sent=1, done=1)


def test_a_run_that_sent_nothing_is_settled():
    assert tally(settle(sent_of(), records_of(), [])) == Settlement(sent=0)


def test_a_settlement_that_does_not_add_up_cannot_exist():
    with pytest.raises(ValueError, match=r"3 jobs sent, settled as .*'done': 2.*must be 0 or more and add up"):
        Settlement(sent=3, done=2)
    with pytest.raises(ValueError, match="must be 0 or more"):
        Settlement(sent=1, done=2, lost=-1)


def test_a_trial_is_complete_when_every_job_came_to_one_end():
    assert Settlement(sent=6, done=3, failed=2, revoked=1).complete
    assert not Settlement(sent=6, done=5, lost=1).complete
    assert not Settlement(sent=6, done=5, duplicated=1).complete


def test_missing_jobs_are_those_without_a_known_end():
    # 1 retried + 2 lost + 3 queued + 4 refused = 10; a duplicated job ended, if too often.
    settlement = Settlement(sent=12, done=1, duplicated=1, retried=1, lost=2, queued=3, refused=4)
    assert settlement.missing == 10


def test_the_failed_share_is_of_all_that_was_sent():
    assert Settlement(sent=200, done=190, failed=6, lost=4).failed_share == 0.03
    assert Settlement(sent=0).failed_share == 0.0


def test_a_settlement_names_every_fate():
    assert {field.name for field in fields(Settlement)} == {"sent", *(fate.value for fate in Fate)}


JOBS = st.tuples(st.integers(0, 2), st.integers(0, 5))


@settings(deadline=None)
@given(
    accepted=st.dictionaries(JOBS, st.booleans()),
    records=st.lists(st.tuples(JOBS, st.sampled_from(Outcome))),
    queued=st.lists(st.lists(st.integers(0, 7)), min_size=3, max_size=3),
)
def test_the_sum_is_always_what_was_sent(accepted, records, queued):
    """Whatever came: duplicates, strangers, retries, queues that name jobs never sent."""
    sent = sent_of(*(job if taken else (*job, None) for job, taken in accepted.items()))
    rows = records_of(*((*job, outcome.label) for job, outcome in records))
    fates = settle(sent, rows, [trial_of(trial, queued[trial]) for trial in range(3)])
    whole = tally(fates)
    assert whole.sent == len(accepted) == sum(whole.count(fate) for fate in Fate)
    assert set(fates.select("trial", "seq").iter_rows()) == set(accepted)
    assert sum(tally(fates, trial).sent for trial in range(3)) == whole.sent
    assert count_unknown_records(sent, rows) == sum(job not in accepted for job, _ in records)


@settings(deadline=None)
@given(st.lists(st.tuples(JOBS, st.sampled_from(Outcome))), st.randoms(use_true_random=False))
def test_the_order_of_records_changes_no_fate(records, random):
    sent = sent_of(*{job for job, _ in records})
    rows = [(*job, outcome.label) for job, outcome in records]
    before = settle(sent, records_of(*rows), [trial_of(0)])
    random.shuffle(rows)
    assert settle(sent, records_of(*rows), [trial_of(0)]).equals(before)
