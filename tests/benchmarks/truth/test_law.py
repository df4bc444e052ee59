"""The simulation behind the promises of the law of scaling."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.truth.law import WORLDS, World, measured, swept, visits

QUIET = World(name="quiet", contention=0.1, coherency=0.1, trial_sd=0.0)


def test_throughput_is_that_of_the_law_up_to_the_most_nodes_that_gain_anything():
    """8 / (1 + 0.1 * 7 + 0.1 * 56) is 1.0959 times one node."""
    assert QUIET.per_s(8) == pytest.approx(109.59, abs=0.01)
    flat = World(name="flat", contention=0.0, coherency=0.0, most=2)
    assert [flat.per_s(nodes) for nodes in (1, 2, 8)] == [100, 200, 200]


def test_its_peak_is_told_where_it_is_measured():
    assert QUIET.peak == pytest.approx(3)
    assert replace(QUIET, nodes=(1, 2)).peak is None
    assert replace(QUIET, coherency=0.0).peak is None


def test_values_that_take_turns_are_started_for_each_and_others_once():
    assert [nodes for nodes, _ in visits(QUIET, interleaved=True)] == [1, 2, 4, 8, 8, 4, 2, 1, 2, 4, 8, 1]
    assert all(starts for _, starts in visits(QUIET, interleaved=True))
    assert list(visits(QUIET, interleaved=False))[:4] == [(1, True), (1, False), (1, False), (2, True)]


def test_luck_of_a_start_is_in_all_trials_of_a_value_unless_they_take_turns():
    lucky = replace(QUIET, start_sd=0.1)
    alike, apart = (
        measured(lucky, np.random.default_rng(1), interleaved=interleaved)[1] for interleaved in (False, True)
    )
    assert len(set(alike)) == 1
    assert len(set(apart)) == 3


def test_a_machine_that_becomes_slower_is_so_by_as_much_each_visit():
    found = measured(replace(QUIET, drift=0.1), np.random.default_rng(1), interleaved=False)
    assert found[1][1] / found[1][0] == pytest.approx(np.exp(-0.1))
    assert found[8][2] / QUIET.per_s(8) == pytest.approx(np.exp(-1.1))


def test_sweeps_hold_what_made_them():
    found = swept(replace(QUIET, trial_sd=0.02), sweeps=8)
    assert min(found.contention, found.coherency, found.peak) >= 6
    assert found.named == 8
    assert 2.7 < found.peaks[1] < 3.3


def test_of_nodes_that_do_no_more_from_some_number_on_no_peak_is_named():
    flat = next(world for world in WORLDS if world.most)
    found = swept(flat, sweeps=5)
    assert (found.named, found.peaks) == (0, None)
    assert found.misfits == 5
