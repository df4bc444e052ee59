"""What a soak says of memory whose truth is known, with few runs, and what it does with a broken promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.truth import growth
from benchmarks.truth.growth import WORLDS, Said, World, broken, said

BY_NAME = {world.name: world for world in WORLDS}
KEPT = Said(line=0.9, leak=0.9, no_leak=0.0, jumps=0.0, unknown=0.1)


def held(name: str, *parts: float) -> list[float]:
    """Return what a process of a world holds at some parts of the hour, more than at first."""
    found: list[float] = BY_NAME[name].held(np.random.default_rng(1), np.array(parts)).tolist()
    return found


def test_worlds_hold_what_their_names_say() -> None:
    assert held("8 MiB an hour", 0.0, 0.5, 1.0) == [0.0, 4.0, 8.0]
    assert held("2 jumps of 1.8 MiB", 0.25, 1.0) == [0.0, 3.66]
    assert held("20 MiB in the first quarter, at once", 0.25, 1.0) == [20.0, 20.0]
    assert held("4 MiB every 10 minutes", 1.0) == [24.0]
    assert max(held("filled and freed, 8 MiB in 7 minutes", *np.linspace(0, 1, 500))) == pytest.approx(8.0, abs=0.2)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_no_promise_is_broken(world: World) -> None:
    assert broken(world, said(world, runs=100)) == ""


def test_two_jumps_are_called_jumps_and_a_leak_beside_one_is_found() -> None:
    assert said(BY_NAME["2 jumps of 30 MiB, noise of 0.5 MiB"], runs=20).jumps == 1.0
    beside = said(BY_NAME["8 MiB an hour, and 1 jump of 20 MiB"], runs=20)
    assert beside.leak == 1.0
    assert beside.line < 0.5


def test_each_promise_can_be_broken() -> None:
    leak, jumps = BY_NAME["8 MiB an hour"], BY_NAME["2 jumps of 1.8 MiB"]
    assert broken(leak, KEPT) == ""
    assert broken(leak, replace(KEPT, leak=0.7, jumps=0.2)) == "a leak is hidden"
    assert broken(leak, replace(KEPT, no_leak=0.1)) == "a leak is hidden"
    assert broken(jumps, replace(KEPT, leak=0.1)) == "called a leak"
    assert broken(jumps, replace(KEPT, leak=0.0, jumps=1.0)) == ""


def test_a_broken_promise_is_told_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "said", lambda _world: replace(KEPT, leak=0.5))
    monkeypatch.setattr(growth, "WORLDS", [BY_NAME["8 MiB an hour"]])
    assert growth.main() == 1
    assert capsys.readouterr().out.endswith("50.0      0.0    0.0        10.0  a leak is hidden\n")
