"""An earlier version and this one are compared by what their own reports say."""

import json
import math

import numpy as np
import pytest

from benchmarks.truth import earlier
from producer.analysis.sequential import interval
from producer.analysis.stats import LogRatio


def verdict(low, high, pairs, **more):
    return {"measure": "capacity", "workload": "cpu", "low": low, "high": high, "pairs": pairs, **more}


def test_the_deviation_of_pairs_is_read_from_an_interval_of_the_ordinary_test():
    # t for 95 % and 4 degrees of freedom is 2.776; 2.776 x 0.1 / sqrt(5) = 0.12416.
    half = 0.12416
    sd, pairs = earlier.deviation(verdict(math.exp(0.5 - half), math.exp(0.5 + half), 5))
    assert (round(sd, 4), pairs) == (0.1, 5)


def test_the_deviation_of_pairs_is_read_from_an_interval_that_holds_at_every_look():
    low, high = interval(LogRatio(pairs=7, mean=0.2, sd=0.05), 0.01)
    sd, pairs = earlier.deviation(verdict(math.exp(low), math.exp(high), 7, confidence=0.99))
    assert (sd, pairs) == (pytest.approx(0.05), 7)


def test_the_typical_deviation_of_many_races_is_that_of_their_noise():
    """Of three and of six pairs; without the correction for few pairs it would come out as 0.16."""
    draw = np.random.default_rng(1)
    found = [
        (float(np.std(row, ddof=1)), pairs) for pairs in (3, 6) for row in 0.2 * draw.standard_normal((2_000, pairs))
    ]
    assert earlier.typical(found) == pytest.approx(0.2, rel=0.03)
    assert math.exp(np.mean([math.log(sd) for sd, _ in found])) < 0.18


def test_both_versions_race_in_turn_for_the_same_time(tmp_path, monkeypatch, capsys):
    asked = []

    def race(folder, *options):
        asked.append((folder.name, options))
        sds = {("capacity", "cpu"): (0.1 if folder == tmp_path else 0.05, 5), ("latency", "cpu"): (0.3, 5)}
        return earlier.Raced(took_s=92.0 if folder == tmp_path else 90.0, sds=sds)

    monkeypatch.setattr(earlier, "race", race)
    assert earlier.main([str(tmp_path), "--races", "2"]) == 0
    # 15 s beside the measuring at first; then what the first race took beside its 77 s, which are 13 s.
    ours = earlier.ROOT.name
    assert asked == [
        (tmp_path.name, ()), (ours, ("--at-most", "77.0s")), (tmp_path.name, ()), (ours, ("--at-most", "79.0s")),
    ]  # fmt: skip
    told = capsys.readouterr().out
    assert "capacity: 0.50 of what it was" in told
    assert "latency: 1.00 of what it was" in told
    assert "rounds in that time: 10.0 before, 10.0 now" in told


def test_a_race_is_run_by_the_program_of_its_folder(tmp_path):
    summary = {"workloads": [{"verdicts": [verdict(0.9, 1.1, 5)]}, {"verdicts": []}]}
    program = tmp_path / ".venv" / "bin" / "poolrace"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho \"$@\" >{tmp_path}/asked\nprintf '%s' '{json.dumps(summary)}'\n")
    program.chmod(0o755)
    raced = earlier.race(tmp_path, "--at-most", "5s")
    assert (tmp_path / "asked").read_text().startswith("race --json --at-most 5s --out ")
    assert raced.rounds == 5
    assert list(raced.sds) == [("capacity", "cpu")]
