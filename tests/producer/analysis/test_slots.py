"""Each job that ran has a slot, and no two jobs have the same one at the same time."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.analysis.slots import slot_name, with_slots


def jobs(*spans, pool="gevent", pid=1, thread_id=7):
    rows = [{"started_at": begin, "finished_at": end} for begin, end in sorted(spans)]
    return pl.DataFrame(rows, schema={"started_at": pl.Float64, "finished_at": pl.Float64}).with_columns(
        node=pl.lit("n"), pool=pl.lit(pool), pid=pid, thread_id=thread_id
    )


def greenlets(table):
    return with_slots(table)["greenlet"].to_list()


def test_jobs_that_share_a_thread_take_the_lowest_number_that_is_free():
    assert greenlets(jobs((0, 4), (1, 2), (2, 5), (4, 6))) == [0, 1, 1, 0]


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_job_that_has_its_thread_to_itself_is_number_0_even_where_clocks_were_set(pool):
    assert greenlets(jobs((0, 4), (1, 2), pool=pool)) == [0, 0]


def test_each_thread_of_each_process_counts_for_itself():
    assert greenlets(pl.concat([jobs((0, 4)), jobs((0, 4), pid=2), jobs((0, 4), thread_id=8)])) == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=30))
def test_no_two_jobs_are_in_a_slot_at_once_and_there_are_as_many_slots_as_ran_at_once(drawn):
    spans = sorted((begin, begin + length) for begin, length in drawn)
    found = greenlets(jobs(*spans))
    for slot in set(found):
        mine = [span for span, number in zip(spans, found, strict=True) if number == slot]
        assert all(before[1] <= after[0] for before, after in pairwise(mine))
    at_once = max((sum(begin <= at < end for begin, end in spans) for at, _ in spans), default=0)
    assert len(set(found)) == at_once


def test_a_slot_is_called_after_what_it_is():
    slot = {"pool": "threads", "pid": 3, "thread_id": 7, "greenlet": 0}
    assert slot_name(slot, shares_process=True) == "thread 7"
    assert slot_name(slot | {"pool": "prefork"}, shares_process=False) == "pid 3"
    assert slot_name(slot | {"pool": "gevent", "greenlet": 1}, shares_process=False) == "greenlet 2"
