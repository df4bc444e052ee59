"""The copy that races thousands at once ends as the real code paths do, and grades by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.truth import races
from benchmarks.truth.sequential import Height, looks
from benchmarks.truth.worlds import EQUAL_LANES, TRUE_RATIOS
from producer.analysis.sequential import LEAST_PAIRS, MOST_PAIRS
from producer.analysis.stats import holm
from producer.measure.rounds import balanced
from producer.plan.lanes import parse_lanes


@pytest.mark.parametrize("world", [TRUE_RATIOS[1], TRUE_RATIOS[-1], EQUAL_LANES[1]], ids=lambda world: world.name)
def test_the_real_code_paths_end_a_race_as_the_copy_does(world):
    assert races.disagreements(world, 40, races=3) == []


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=9))
def test_many_races_are_adjusted_as_one_is(levels):
    assert races.holm(np.array([levels]))[0].tolist() == pytest.approx(holm(levels))


def test_trials_are_paired_in_the_order_in_which_a_race_runs_them():
    """Trials that only grow slower by a step each differ by it, the first lane of a round being the faster one."""
    drift = next(world for world in EQUAL_LANES if world.name == "linear drift")
    _, logs = drift.races(np.random.default_rng(1), 4_000, 8)
    lanes = parse_lanes(["prefork:2", "threads:2"], concurrency=2, prefetch=4, acks="early")
    first = [balanced(lanes, turn)[0] is lanes[0] for turn in range(8)]
    assert np.sign(logs.mean(axis=(0, 1))).tolist() == [1.0 if each else -1.0 for each in first]


def test_a_race_without_noise_is_graded_by_hand():
    """Two workloads: prefork twice as fast and 2 % faster; latency equal. All is right after three rounds each."""
    truths = np.log([[2.0, 1.0, 1.02, 1.0]])
    of = races.Pairs(np.repeat(truths[..., None], 60, axis=2), lanes=2)
    (raced,) = races.race(of, truths, [46])
    found = races.grade(of, truths, raced)
    assert (found.rounds, found.right, found.recommended, found.wrong) == (12.0, 1.0, 1.0, 0.0)
    # Threads are recommended for the second, since they may be taken: at worst 2 % slower, as was said.
    assert (found.beyond, found.slower) == (0.0, 0.0)


def test_a_wrong_winner_counts_though_it_is_none_at_the_end():
    """Three pairs that agree by chance, and then others that do not."""
    logs = np.concatenate([[0.2] * 3, np.resize([0.5, -0.9], 57)])[None, None, :]
    of = races.Pairs(np.concatenate([logs, np.resize([0.9, -0.9], (1, 1, 60))], axis=1), lanes=2)
    (raced,) = races.race(of, np.zeros((1, 2)), [46])
    assert raced.wrong.tolist() == [True]


def test_lanes_are_looked_at_after_every_pair_and_then_ever_more_rarely():
    at = looks()
    assert (at[0], at[-1]) == (LEAST_PAIRS, MOST_PAIRS)
    assert at[:118] == list(range(3, 121))
    assert all(later / earlier <= 1.06 for earlier, later in pairwise(at[117:]))


def test_a_height_agrees_within_three_errors_of_the_simulations():
    assert Height(level=0.05, stored=0.01, found=0.0102, error=0.007).agrees
    assert not Height(level=0.05, stored=0.01, found=0.0103, error=0.007).agrees
