"""Right verdicts are counted in the rounds and with the noise that were measured, and held against the promise."""

import numpy as np

from benchmarks.truth import same_time
from benchmarks.truth.races import drawn
from benchmarks.truth.worlds import TRUE_RATIOS


def test_noise_of_capacity_and_of_latency_is_smaller_each_by_its_own_factor(monkeypatch):
    monkeypatch.setattr(same_time, "CAPACITY_NOISE", 0.5)
    monkeypatch.setattr(same_time, "LATENCY_NOISE", 0.25)
    for world in (TRUE_RATIOS[0], TRUE_RATIOS[-1]):
        truths, of, logs = drawn(world, 50, 60)
        rows, pairs = np.arange(50), np.full((50, of.comparisons), 60)
        _, before = of.after(rows, pairs)
        mean, now = same_time.quieter(world, truths, logs).after(rows, pairs)
        of_group = len(of.lanes)
        parts = (now / before).reshape(50, -1, of_group)
        assert np.allclose(parts[:, ::2], 0.5)
        assert np.allclose(parts[:, 1::2], 0.25)
        # Moved towards the truth, not towards nothing.
        assert abs(float((mean - truths).mean())) < 0.01


def test_a_gain_that_is_smaller_than_promised_is_told(monkeypatch, capsys):
    monkeypatch.setattr(same_time, "RACES", 200)
    monkeypatch.setattr(same_time, "ROUNDS", 26)
    monkeypatch.setattr(same_time, "CAPACITY_NOISE", 1.0)
    monkeypatch.setattr(same_time, "LATENCY_NOISE", 1.0)
    assert same_time.main() == 1
    assert "BROKEN" in capsys.readouterr().out


def test_the_promise_is_kept(monkeypatch, capsys):
    monkeypatch.setattr(same_time, "RACES", 1_000)
    assert same_time.main() == 0
    assert "BROKEN" not in capsys.readouterr().out
