"""What a soak is asked to do: words of the command line become settings, and wrong ones are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from producer.cli.soak import soak, soak_settings
from producer.errors import UsageError
from producer.plan.lanes import parse_lanes

if TYPE_CHECKING:
    from producer.measure.soak import SoakSettings

MIB = 2**20


def asked(*words: str) -> SoakSettings:
    """Return the settings that words on the command line become."""
    context = soak.make_context("soak", list(words))
    for name in ("as_json", "junit", "live"):
        del context.params[name]
    return soak_settings(**context.params)


def refusal(*words: str) -> str:
    """Return why words are refused."""
    with pytest.raises(UsageError) as refused:
        asked(*words)
    return str(refused.value)


def test_no_words_mean_ten_minutes_of_both_pools_and_one_lane_that_recycles() -> None:
    found = asked()
    assert (found.for_s, found.tolerated_bytes_per_h, found.workloads) == (600.0, 4 * MIB, ("mixed",))
    assert [lane.key for lane in found.lanes] == ["prefork", "threads", "prefork-recycled"]
    assert found.recycled == (("prefork-recycled", "prefork"),)


def test_every_word_arrives_where_it_belongs() -> None:
    found = asked(
        "--for", "30m", "--workload", "io", "--recycle", "50", "--tolerate", "10MiB", "--utilisation", "0.5", "--lane",
        "prefork:3", "--seed", "5",
    )  # fmt: skip
    assert (found.for_s, found.workloads, found.recycle_jobs) == (1800.0, ("io",), 50)
    assert (found.tolerated_bytes_per_h, found.utilisation, found.seed) == (10 * MIB, 0.5, 5)
    assert dict(found.lanes[1].settings) == {"max-tasks": "50"}


@pytest.mark.parametrize(
    "words",
    [
        ["--lane", "threads:4"],
        ["--lane", "prefork:4:max-tasks=10"],
        ["--lane", "prefork:4:max-memory=100MiB"],
        ["--lane", "prefork:4", "--no-recycle"],
    ],
)
def test_what_cannot_replace_children_or_does_already_has_no_second_lane(words: list[str]) -> None:
    found = asked(*words)
    assert len(found.lanes) == 1
    assert found.recycled == ()


def test_a_longer_soak_has_longer_trials_and_as_many_rounds() -> None:
    short, long, longest = (asked("--for", text, "--lane", "prefork:2").trial_s for text in ("5m", "10m", "24h"))
    assert long == pytest.approx(2 * short)
    assert longest == 30.0


def test_time_that_is_too_short_for_four_rounds_is_told_with_what_is_enough() -> None:
    said = refusal("--for", "60s", *(word for name in ("cpu", "io", "mixed", "sleep") for word in ("--workload", name)))
    assert said.startswith("--for 60s: must be 3m or more for 4 workloads on 3 lanes.")
    assert said.endswith("name fewer of --workload or --lane.")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--for", "5s"], "--for '5s'"), (["--recycle", "0"], "--recycle '0'"), (["--tolerate", "much"], "--tolerate")],
)
def test_values_that_make_no_sense_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(Exception, match=said):
        soak.make_context("soak", words)


def test_one_lane_is_enough() -> None:
    assert asked("--lane", "threads:2").lanes == parse_lanes(["threads:2"], least=1)
