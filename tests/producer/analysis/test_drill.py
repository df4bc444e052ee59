"""Jobs that were lost, failed and repeated on purpose, and the properties of their settlement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolrace.effects import BEGUN, DONE, FAILED, RETRIED, Note
from producer.analysis.drill import (
    CellResult,
    Fate,
    Found,
    HeldUp,
    JobFate,
    Strike,
    all_of,
    held_up,
    resumed_after_s,
    runs_of,
    settle_jobs,
    shortfalls,
    toll_of,
    under_way,
    upper_share,
)
from producer.plan.drill import Bounds

JOBS = [f"job-{number}" for number in range(8)]
WHATS = (BEGUN, DONE, FAILED)
NOWHERE = Found()


def noted(job: str, *whats: str, at: float = 1.0, slot: int = 1) -> list[Note]:
    return [Note(job, what, at + step, "node-1@here", slot, slot) for step, what in enumerate(whats)]


def settled(
    notes: list[Note], found: Found = NOWHERE, strikes: tuple[Strike, ...] = (), *, refused: str = ""
) -> JobFate:
    (fate,) = settle_jobs(["job-0"], {refused}, notes, found, strikes)
    return fate


def toll(**counts: int) -> object:
    fates = []
    for name, count in counts.items():
        ran = 2 if name == "repeated" else 1
        fate = Fate.DONE if name == "repeated" else Fate(name.replace("_", " "))
        fates += [JobFate(job="job", fate=fate, runs=ran, effects=ran, explained_by="it")] * count
    return toll_of(fates)


@pytest.mark.parametrize(
    ("notes", "found", "fate"),
    [
        (noted("job-0", BEGUN, DONE), Found(), Fate.DONE),
        (noted("job-0", BEGUN, DONE), Found(delivered=frozenset(["job-0"])), Fate.DONE),
        (noted("job-0", BEGUN, FAILED), Found(), Fate.FAILED),
        (noted("job-0", BEGUN, FAILED), Found(ready=frozenset(["job-0"])), Fate.QUEUED),
        (noted("job-0", FAILED, BEGUN, DONE), Found(), Fate.DONE),
        ([], Found(ready=frozenset(["job-0"])), Fate.QUEUED),
        (noted("job-0", BEGUN), Found(delivered=frozenset(["job-0"])), Fate.QUEUED),
        ([], Found(on_nodes=frozenset(["job-0"])), Fate.QUEUED),
        (noted("job-0", BEGUN), Found(dead_letters=frozenset(["job-0"])), Fate.SET_ASIDE),
        (noted("job-0", BEGUN), Found(ready=frozenset(["job-1"])), Fate.LOST),
        ([], Found(), Fate.LOST),
    ],
)  # fmt: skip
def test_a_job_has_the_fate_that_its_notes_and_places_say(notes: list[Note], found: Found, fate: Fate) -> None:
    assert settled(notes, found).fate is fate


def test_a_job_that_its_sender_was_told_is_not_there_is_refused_and_not_lost() -> None:
    assert settled([], refused="job-0").fate is Fate.REFUSED


def test_one_that_ran_all_the_same_is_what_it_is() -> None:
    assert settled(noted("job-0", BEGUN, DONE), refused="job-0").fate is Fate.DONE
    assert settled(noted("job-0", BEGUN), refused="job-0").fate is Fate.LOST


def test_a_job_that_ran_twice_is_explained_by_the_strike_that_found_it_on_a_node() -> None:
    notes = noted("job-0", BEGUN, BEGUN, DONE)
    strikes = (
        Strike(what="first", at=0.0, held=frozenset(["job-1"])),
        Strike(what="second", at=1.0, held=frozenset(["job-0"])),
    )
    fate = settled(notes, strikes=strikes)
    assert (fate.runs, fate.effects, fate.repeated, fate.explained_by) == (2, 1, True, "second")
    assert settled(notes).explained_by == ""
    assert toll_of([fate]).unexplained == 0
    assert toll_of([settled(notes)]).unexplained == 1


def test_a_try_that_the_task_itself_asked_for_is_no_second_run() -> None:
    fate = settled(noted("job-0", BEGUN, RETRIED, BEGUN, DONE))
    assert (fate.fate, fate.runs, fate.repeated) == (Fate.DONE, 1, False)
    assert settled(noted("job-0", BEGUN, RETRIED, BEGUN, BEGUN, DONE)).runs == 2


def test_what_ran_as_a_fault_struck_is_what_had_begun_and_not_ended_and_what_began_right_after() -> None:
    notes = [
        Note(job, what, at, "node-1@here", 1, 1)
        for job, what, at in (
            ("ended", BEGUN, 1.0), ("cut short", BEGUN, 2.0), ("ended", DONE, 3.0),
            ("tried again", BEGUN, 3.1), ("tried again", RETRIED, 3.2), ("right after", BEGUN, 4.4),
            ("later", BEGUN, 4.6), ("right after", DONE, 5.0), ("cut short", BEGUN, 7.0), ("cut short", DONE, 7.1),
        )
    ]  # fmt: skip
    first, second = under_way(reversed(notes), [4.0, 8.0], 0.5)
    assert first == {"cut short", "right after"}
    assert second == {"later"}
    assert under_way([], [4.0], 0.5) == [frozenset()]


def test_the_same_identity_twice_and_a_note_of_a_stranger_are_errors() -> None:
    with pytest.raises(ValueError, match="same identity"):
        settle_jobs(["job-0", "job-0"], (), [], Found(), ())
    with pytest.raises(ValueError, match="'job-9', which nobody sent"):
        settle_jobs(["job-0"], (), noted("job-9", DONE), Found(), ())


places = st.sets(st.sampled_from(JOBS)).map(frozenset)


@given(
    notes=st.lists(st.tuples(st.sampled_from(JOBS), st.sampled_from(WHATS))),
    found=st.builds(Found, ready=places, delivered=places, on_nodes=places, dead_letters=places),
    refused=places,
    held=places,
)
def test_every_job_has_one_fate_and_the_counts_are_all_jobs(
    notes: list[tuple[str, str]], found: Found, refused: frozenset[str], held: frozenset[str]
) -> None:
    ledger = [Note(job, what, float(at), "node-1@here", 1, 1) for at, (job, what) in enumerate(notes)]
    fates = settle_jobs(JOBS, refused, ledger, found, [Strike(what="it", at=0.0, held=held)])
    counted = toll_of(fates)
    assert [each.job for each in fates] == JOBS
    parts = (counted.refused, counted.done, counted.failed, counted.set_aside, counted.queued, counted.lost)
    assert sum(parts) == counted.sent == len(JOBS)
    assert counted.unexplained <= counted.repeated
    for each in fates:
        if each.fate is Fate.LOST:
            assert each.effects == 0
            assert each.job not in found.on_the_way | found.dead_letters


def test_what_costs_more_than_it_may_is_told_in_words() -> None:
    bounds = Bounds(lost=1, failed=0, repeated=1)
    found = shortfalls(toll(lost=2, failed=1, repeated=2), bounds, holdable=8, resumed_s=0.1, resume_s=10)
    assert found == [
        "2 jobs lost, at most 1 may",
        "1 jobs failed, at most 0 may",
        "2 jobs ran again, at most 1 may",
    ]
    assert shortfalls(toll(lost=1, repeated=1, done=5), bounds, holdable=8, resumed_s=0.1, resume_s=10) == []


def test_without_a_bound_what_nodes_may_hold_may_run_again() -> None:
    held = {"holdable": 2, "resumed_s": 0.0, "resume_s": 1.0}
    assert shortfalls(toll(repeated=2), Bounds(), **held) == []
    assert shortfalls(toll(repeated=3), Bounds(), **held) == ["3 jobs ran again, at most 2 may"]


def test_work_that_does_not_go_on_or_late_is_told() -> None:
    facts = {"holdable": 1, "resumed_s": None, "resume_s": 1}
    assert shortfalls(toll(done=1), Bounds(), **facts) == ["work did not go on: no node runs"]
    (told,) = shortfalls(toll(done=1), Bounds(), hanging=["node-1@drill"], **facts)
    assert told == "work did not go on: node-1@drill takes no job"
    assert shortfalls(toll(done=1), Bounds(hangs=1), hanging=["node-1@drill"], **facts) == []
    (late,) = shortfalls(toll(done=1), Bounds(), holdable=1, resumed_s=2.0, resume_s=1)
    assert late == "work went on after 2.0 s, within 1 s it should"


def test_of_none_lost_in_300_the_share_is_below_one_per_cent() -> None:
    assert upper_share(0, 300) == 0.01
    assert upper_share(0, 0) == 1.0


def test_of_some_lost_the_share_is_above_what_was_seen() -> None:
    # Wilson's interval by hand, z = 1.645: (0.0635 + 1.645 sqrt(0.000475 + 0.0000677)) / 1.0271.
    assert upper_share(5, 100) == pytest.approx(0.0992, abs=1e-4)


def test_work_goes_on_with_the_first_job_that_begins_after_the_fault() -> None:
    notes = [*noted("job-0", BEGUN, DONE, at=1.0), *noted("job-1", BEGUN, at=5.5), *noted("job-2", BEGUN, at=6.0)]
    assert resumed_after_s(notes, 5.0) == 0.5
    assert resumed_after_s(notes, 7.0) is None


def test_a_run_ends_with_the_note_of_its_own_slot() -> None:
    notes = [
        *noted("job-0", BEGUN, at=1.0, slot=1),
        *noted("job-0", BEGUN, DONE, at=2.0, slot=2),
    ]
    first, second = runs_of(notes, began_at=1.0)
    assert (first.job, first.begin_s, first.end_s) == ("job-0", 0.0, None)
    assert (second.begin_s, second.end_s, second.slot) == (1.0, 2.0, "node-1@here 2/2")


def test_where_nodes_differ_in_transport_the_promised_one_may_lose_nothing_and_the_other_one_may() -> None:
    facts = {"holdable": 8, "resumed_s": 0.1, "resume_s": 20.0}
    bounds = Bounds(lost=10)
    by_stock, by_atomic = (toll_of(FATES_LOST, {name: 2}) for name in ("stock", "atomic"))
    assert shortfalls(by_stock, bounds, promised="atomic", **facts) == []
    (told,) = shortfalls(by_atomic, bounds, promised="atomic", **facts)
    assert told == "2 jobs were lost by nodes of the atomic transport, none may"


FATES_LOST = [JobFate(job=f"job-{number}", fate=Fate.LOST, runs=0, effects=0) for number in range(2)]


def test_repeats_without_a_reason_are_counted_where_nothing_is_promised_and_told_elsewhere() -> None:
    found = toll_of([JobFate(job="job-0", fate=Fate.DONE, runs=2, effects=2)])
    facts = {"holdable": 8, "resumed_s": 0.1, "resume_s": 20.0}
    assert shortfalls(found, Bounds(unexplained=1), **facts) == []
    assert shortfalls(found, Bounds(), **facts) == ["1 jobs ran again though no fault explains it, at most 0 may"]


def test_repeats_are_counted_together_and_what_is_not_as_expected_is_told_with_how_often() -> None:
    good = CellResult(
        drill="node-kill", cell="threads-safe", toll=toll(done=7, repeated=2), resumed_s=0.5, settled_s=2.0,
        struck=[("node killed", 1.0)], longest_s=0.1, said=["a warning"], took_s=8.0,
    )  # fmt: skip
    bad = CellResult(
        drill="node-kill", cell="threads-safe", toll=toll(done=5, lost=1), short=["1 jobs lost, at most 0 may"],
        resumed_s=3.0, settled_s=None, struck=[("node killed", 1.2)], longest_s=0.3, said=["a warning", "an error"],
        hanging=["node-2"], took_s=9.0,
    )  # fmt: skip
    found = all_of([good, bad, good])
    assert (found.repeats, found.kept, found.as_expected) == (3, 2, False)
    assert found.toll is not None
    assert (found.toll.sent, found.toll.done, found.toll.repeated, found.toll.lost) == (24, 23, 4, 1)
    assert found.short == ["1 jobs lost, at most 0 may (in 1 of 3)"]
    assert (found.resumed_s, found.settled_s, found.longest_s, found.took_s) == (3.0, None, 0.3, 25.0)
    assert (len(found.struck), found.said, found.hanging) == (3, ["a warning", "an error"], ["node-2"])


def test_one_repeat_is_what_it_found() -> None:
    alone = CellResult(drill="node-kill", cell="threads-safe", toll=toll(done=7))
    assert all_of([alone]) is alone


def test_repeats_in_which_all_is_as_expected_are_kept() -> None:
    found = all_of([CellResult(drill="node-kill", cell="threads-safe", toll=toll(done=7))] * 20)
    assert (found.repeats, found.kept, found.as_expected) == (20, 20, True)


def test_neighbours_are_jobs_that_were_hurt_and_did_no_harm() -> None:
    fates = [
        JobFate(job="job-0", fate=Fate.FAILED, runs=1, effects=0),
        JobFate(job="job-1", fate=Fate.DONE, runs=1, effects=1),
        JobFate(job="job-2", fate=Fate.DONE, runs=2, effects=2, explained_by="a job crashed its process"),
        JobFate(job="job-3", fate=Fate.LOST, runs=1, effects=0),
        JobFate(job="job-4", fate=Fate.REFUSED, runs=0, effects=0),
    ]
    assert toll_of(fates, harmful={"job-0"}).neighbours == 2
    assert toll_of(fates[:2], harmful={"job-0"}).neighbours == 0
    assert toll_of(fates).neighbours is None
    both = all_of([CellResult(drill="d", cell="c", toll=toll_of(fates, harmful={"job-0"}))] * 2).toll
    assert both is not None
    assert both.neighbours == 4


def test_lost_jobs_by_transport_are_counted_over_repeats() -> None:
    one = toll_of([JobFate(job="job-1", fate=Fate.LOST, runs=0, effects=0)], {"stock": 1})
    found = all_of([CellResult(drill="mixed-kills", cell="threads-late-atomic", toll=one)] * 3).toll
    assert found is not None
    assert found.lost_by == {"stock": 3}


def test_jobs_that_took_longer_than_any_before_a_fault_were_held_up_by_it_until_the_last_was_done() -> None:
    sent_at = {"job-0": 0.0, "job-1": 9.0, "job-2": 9.0, "job-3": 11.0, "job-4": 9.5}
    notes = [
        *noted("job-0", DONE, at=2.0),
        *noted("job-1", DONE, at=11.5),
        *noted("job-2", DONE, at=40.0),
        *noted("job-2", DONE, at=90.0),
        *noted("job-3", DONE, at=15.5),
    ]
    assert held_up(sent_at, notes, struck_at=10.0) == HeldUp(jobs=2, slowest_s=31.0, recovered_s=30.0)


def test_a_fault_that_held_up_no_job_was_recovered_from_at_once() -> None:
    assert held_up({"job-0": 9.0}, noted("job-0", DONE, at=9.9), 9.5) == HeldUp(
        jobs=0, slowest_s=pytest.approx(0.9), recovered_s=0.0
    )
    assert held_up({"job-0": 9.0}, [], 9.5) == HeldUp(jobs=0, slowest_s=0.0, recovered_s=0.0)


def test_repeats_tell_all_jobs_that_were_held_up_and_the_longest_time() -> None:
    one, other = (
        CellResult(drill="d", cell="c", toll=toll(done=1), held_up=HeldUp(jobs=2, slowest_s=s, recovered_s=2 * s))
        for s in (3.0, 1.0)
    )
    assert all_of([one, other]).held_up == HeldUp(jobs=4, slowest_s=3.0, recovered_s=6.0)
    assert all_of([replace(one, held_up=None)] * 2).held_up is None


def test_a_slot_is_named_with_its_host_unless_the_drill_started_the_node() -> None:
    notes = [Note("job-0", BEGUN, 1.0, node, 7, 8) for node in ("node-1@drill", "threads@node3-1")]
    assert [run.slot for run in runs_of(notes, 0.0)] == ["node-1 7/8", "threads@node3-1 7/8"]
