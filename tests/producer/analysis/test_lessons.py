"""Observations become estimates and a judgement, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from producer.analysis.lessons import found_in, is_sure, judge
from producer.lessons.catalogue import find
from producer.lessons.lesson import Found, Python, Seen, Verdict

if TYPE_CHECKING:
    from producer.lessons.lesson import Entry


def two_threads() -> Entry:
    entry = find("two-threads")
    assert entry is not None
    return entry


def seen(count: float = 0.99, *, repetitions: int = 8, cores: float = 1.95, may_use: int = 2) -> Found:
    figures = {"count": count, "hash": 1.9, "wait": 1.95}
    python = Python(version="3.13.1", free_threaded=False, gil=True, cores=may_use)
    return found_in(python, [Seen(figures=figures)] * repetitions, [cores] * repetitions)


def test_each_measure_is_estimated_over_the_repetitions() -> None:
    python = Python(version="3.13.1", free_threaded=False, gil=True, cores=2)
    found = found_in(python, [Seen(figures={"count": value}) for value in (1, 2, 3)], [1.9, 1.8, 1.7])
    assert found["count"].value == 2
    assert found["count"].repetitions == 3
    assert found.cores.value == 1.8
    assert found.last.figures == {"count": 3}


def test_what_one_repetition_alone_measured_is_estimated_by_that_one() -> None:
    python = Python(version="3.13.1", free_threaded=False, gil=True, cores=2)
    both, one = Seen(figures={"count": 1, "start": 2.5}), Seen(figures={"count": 2})
    found = found_in(python, [both, one, one], [2.0] * 3)
    assert (found["start"].value, found["start"].repetitions) == (2.5, 1)
    assert found["count"].repetitions == 3


def test_a_quiet_machine_judges() -> None:
    assert judge(two_threads(), seen()).verdict is Verdict.ONLY_IF


def test_a_machine_whose_cores_others_use_judges_nothing_and_says_so() -> None:
    # What a build with the GIL shows always, and a free-threaded one on a busy machine.
    judgement = judge(two_threads(), seen(cores=1.33))
    assert judgement.verdict is Verdict.NOT_SHOWN
    assert "others use the cores" in judgement.because
    assert "1.33 of 2 cores" in judgement.because


def test_a_process_that_may_use_one_core_judges_nothing_and_says_so() -> None:
    judgement = judge(two_threads(), seen(may_use=1, cores=1.0))
    assert judgement.verdict is Verdict.NOT_SHOWN
    assert "may use 1 core" in judgement.because


def test_a_lesson_that_needs_no_second_core_judges_on_a_busy_machine() -> None:
    entry = find("subclass")
    assert entry is not None
    python = Python(version="3.13.1", free_threaded=False, gil=True, cores=1)
    figures = {"run_alone": 1.0, "neither": 1.0, "no_base": 1.0}
    assert judge(entry, found_in(python, [Seen(figures=figures)] * 6, [0.5] * 6)).verdict is Verdict.FALSE


@pytest.mark.parametrize(
    ("found", "sure"),
    [(seen(), True), (seen(repetitions=5), False), (seen(cores=1.3), False), (seen(1.3), False)],
    ids=["narrow and judged", "too few repetitions", "others use the cores", "neither one core nor two"],
)
def test_repetitions_end_when_the_answer_is_narrow_and_judged(found: Found, sure: bool) -> None:
    assert is_sure(two_threads(), found) is sure
