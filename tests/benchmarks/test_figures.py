"""Figures are told as they were measured, and the median decides."""

import json
import math

import pytest

from benchmarks import __main__ as command
from benchmarks.contrast import PROMISES
from benchmarks.figures import Benchmark, Figure, Promise, Skipped, jobs_per_s
from producer.errors import FleetError


def figure(*ratios, promise=None):
    return Figure.of("a / b", [(ratio, 1.0) for ratio in ratios], jobs_per_s, promise)


@pytest.mark.parametrize(
    ("promise", "ratio", "kept"),
    [
        (Promise(least=10), 10.0, True),
        (Promise(least=10), 9.99, False),
        (Promise(most=1.0), 1.0, True),
        (Promise(most=1.0), 1.01, False),
        (Promise(least=0.9, most=1.1), 1.0, True),
        (Promise(least=0.9, most=1.1), 1.2, False),
        (Promise(least=0.9, most=1.1), math.nan, False),
    ],
)
def test_a_promise_holds_up_to_its_bounds(promise, ratio, kept):
    assert promise.kept_by(ratio) is kept


def test_a_promise_that_nothing_could_keep_is_refused():
    with pytest.raises(ValueError, match="ascending"):
        Promise(least=2.0, most=1.0)


def test_promises_are_told_in_words():
    told = [promise.text for promise in (Promise(least=10), Promise(most=1.0), PROMISES["io"])]
    assert told == ["at least 10", "at most 1", "from 0.952 to 1.05"]


def test_a_figure_divides_round_by_round_and_its_median_decides():
    found = Figure.of("a / b", [(90.0, 100.0), (110.0, 100.0), (400.0, 200.0)], jobs_per_s, Promise(least=1.0))
    assert found.ratios == [0.9, 1.1, 2.0]
    assert found.median == 1.1
    assert found.kept
    assert found.terms == "110 jobs/s / 100 jobs/s"


def test_a_figure_without_a_round_is_refused():
    with pytest.raises(ValueError, match="needs at least one round"):
        Figure.of("a / b", [], jobs_per_s)


def test_a_line_shows_the_median_its_range_and_whether_the_promise_is_kept():
    assert command.line(figure(0.96, 0.98, 1.0, promise=Promise(least=0.97))) == (
        "  kept     a / b: 0.98, promised at least 0.97\n           3 rounds, 0.96 to 1.00; 0.98 jobs/s / 1.00 jobs/s"
    )
    assert command.line(figure(0.5, promise=Promise(least=0.97))).startswith("  MISSED   a / b: 0.5, promised")
    assert command.line(figure(0.5)).startswith("           a / b: 0.5\n           1 round, ")
    assert command.line(Skipped(name="a / b", reason="one core")) == "  skipped  a / b\n           one core"


def benchmark_of(*results):
    return Benchmark(name="some", asks="What?", measure=lambda: results, takes_s=0)


@pytest.mark.parametrize(("ratio", "kept"), [(1.0, True), (0.5, False)])
def test_a_run_is_good_if_every_promise_is_kept(ratio, kept, capsys):
    chosen = [benchmark_of(figure(ratio, promise=Promise(least=0.97))), benchmark_of(figure(1.0))]
    assert command.run(chosen) is kept
    told = capsys.readouterr().out
    assert "celery 5." in told.splitlines()[2]
    assert "others used" in told


def test_json_is_all_that_is_printed_when_asked_for(capsys):
    assert command.run(
        [benchmark_of(figure(2.0, promise=Promise(most=3.0)), Skipped(name="c", reason="d"))], as_json=True
    )
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] is True
    assert told["machine"]["python"]
    first, second = told["benchmarks"]["some"]["results"]
    assert (first["median"], first["kept"], first["promise"]) == (2.0, True, {"least": 0.0, "most": 3.0})
    assert second["skipped"] is True


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [(KeyboardInterrupt(), 130, "Interrupted."), (FleetError("No broker."), 3, "No broker.")],
)
def test_what_ends_a_run_early_is_told_without_a_traceback(raised, code, message, monkeypatch, capsys):
    def run(chosen, *, as_json):
        raise raised

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command.interrupts, "install", lambda: None)
    with pytest.raises(SystemExit) as ended:
        command.main([], standalone_mode=False)
    assert ended.value.code == code
    assert capsys.readouterr().err == f"benchmarks: {message}\n"
