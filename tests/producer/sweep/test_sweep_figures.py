"""What follows from a sweep: the knee, what fits, and where threads stop winning."""

import pytest

from producer.sweep.figures import _crossover, _finding

MIB = 2**20


def point(value, *rows):
    """Rows as (lane, slots, capacity, memory in MiB)."""
    return {
        "value": value,
        "lanes": [
            {
                "lane": lane,
                "slots": slots,
                "capacity_per_s": capacity and {"median": capacity},
                "memory_bytes": memory and memory * MIB,
            }
            for lane, slots, capacity, memory in rows
        ],
    }


POINTS = [
    point("1", ("threads", 1, 20.0, 50)),
    point("4", ("threads", 4, 80.0, 55)),
    point("8", ("threads", 8, 96.0, 60)),
    point("16", ("threads", 16, 100.0, 80)),
    point("32", ("threads", 32, None, 120)),
]


def found(axis="concurrency", memory_bytes=None):
    return _finding("threads", POINTS, {"axis": axis, "memory_bytes": memory_bytes})


def test_the_knee_is_the_fewest_slots_that_give_95_percent_of_the_most():
    assert (found()["best"], found()["knee"], found()["recommended"]) == ("16", "8", "8")


def test_under_a_bound_the_knee_is_that_of_what_fits():
    bounded = found(memory_bytes=57 * MIB)
    assert (bounded["fits"], bounded["recommended"], bounded["knee"]) == (["1", "4"], "4", "8")


def test_where_nothing_fits_nothing_is_recommended():
    assert (found(memory_bytes=MIB)["fits"], found(memory_bytes=MIB)["recommended"]) == ([], None)


def test_what_is_not_of_slots_has_no_knee_but_a_best_value():
    assert (found("prefetch")["knee"], found("prefetch")["recommended"]) == (None, "16")


def test_a_lane_that_was_never_measured_has_no_best_value():
    assert _finding("prefork", POINTS, {"axis": "concurrency", "memory_bytes": None})["best"] is None


def judged(**words):
    return [
        {"value": share, "verdicts": [{"measure": "capacity", "word": word}, {"measure": "latency", "word": "prefork"}]}
        for share, word in words.items()
    ]


@pytest.mark.parametrize(
    ("words", "held", "lost"),
    [
        ({"0": "no difference", "0.25": "threads", "0.5": "no verdict", "0.75": "prefork", "1": "prefork"}, 0.25, 0.75),
        ({"0": "no difference", "1": "no difference"}, 1.0, None),
        ({"0": "prefork", "1": "prefork"}, None, 0.0),
        ({"1": "prefork", "0": "threads"}, 0.0, 1.0),
    ],
)
def test_threads_hold_up_to_a_share_and_prefork_wins_from_another(words, held, lost):
    assert _crossover(judged(**words)) == {"threads_hold_to": held, "prefork_wins_from": lost}
