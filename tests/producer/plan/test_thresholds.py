"""Thresholds: what is written is what is held against the figures, and nonsense is refused with what makes sense."""

from dataclasses import replace

import pytest
from nouns import figures_of, percentiles_of

from producer.analysis.settle import Settlement
from producer.errors import UsageError
from producer.plan.thresholds import parse_threshold

SPREAD = percentiles_of(0.1, p90=0.2, p99=0.5, p99_9=0.9, max=1.0, mean=0.15)
FIGURES = figures_of(
    Settlement(sent=3, failed=3),
    30 * 2**20,
    offered_per_s=100.0,
    finished_per_s=97.0,
    sent_per_s=100.0,
    sojourn=SPREAD,
)


@pytest.mark.parametrize(
    ("text", "measured", "limit", "kept"),
    [
        ("p99(sojourn) < 500ms", 0.5, 0.5, False),
        ("p99(sojourn) <= 500ms", 0.5, 0.5, True),
        ("p99.9(sojourn) < 1s", 0.9, 1.0, True),
        ("mean(sojourn)>200us", 0.15, 0.0002, True),
        ("lost == 0", 0, 0, True),
        ("failed==0", 3, 0, False),
        ("rate(finished) > 0.98 * offered", 97.0, 98.0, False),
        ("rate(finished) > 0.97*offered", 97.0, 97.0, False),
        ("rate(sent) >= 100/s", 100.0, 100.0, True),
        ("mem_per_slot < 20MiB", 30 * 2**20, 20 * 2**20, False),
        ("mem_per_slot < 1GiB", 30 * 2**20, 2**30, True),
    ],
)
def test_a_threshold_is_held_against_what_it_names(text, measured, limit, kept):
    judged = parse_threshold(text).judge(FIGURES)
    assert (judged.measured, judged.kept) == (measured, kept)
    assert judged.limit == pytest.approx(limit)


@pytest.mark.parametrize("text", ["p99(queue_wait) < 1s", "mem_per_slot < 1MiB"])
def test_what_could_not_be_measured_keeps_nothing(text):
    judged = parse_threshold(text).judge(replace(FIGURES, memory_per_slot_bytes=None))
    assert (judged.measured, judged.kept) == (None, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast please", "not a comparison"),
        ("p99(sojourn) = 5ms", "not a comparison"),
        ("p98(sojourn) < 5ms", "unknown figure 'p98'"),
        ("p99(sojorn) < 5ms", "sojourn"),
        ("p99 < 5ms", "p99 of what?"),
        ("lost(sojourn) == 0", "without brackets"),
        ("p99(sojourn) < 5", "unit 'none'"),
        ("p99(sojourn) < 5MiB", "Allowed for p99: us, ms, s, m"),
        ("lost == 0ms", "unit 'ms'"),
        ("rate(due) > 1/s", "rate of what?"),
        ("mem_per_slot < 5", "B, KiB, MiB, GiB"),
        ("lost == 0 * offered", "Allowed for lost: none"),
    ],
)
def test_nonsense_is_refused_with_what_is_allowed(text, said):
    with pytest.raises(UsageError, match="--threshold") as refused:
        parse_threshold(text)
    assert said in str(refused.value)
