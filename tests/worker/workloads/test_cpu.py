"""Computing in pure Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.workloads import cpu

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_same_amount_is_the_same_work() -> None:
    assert cpu.mix(1000) == cpu.mix(1000)


def test_every_iteration_counts() -> None:
    assert len({cpu.mix(iterations) for iterations in range(100)}) == 100


def test_one_iteration_multiplies_adds_and_shifts() -> None:
    multiplied = 3 * 6364136223846793005 + 0
    assert multiplied > 2**64 > multiplied - 2**64
    kept = multiplied - 2**64
    assert cpu.mix(1, seed=3) == kept ^ (kept // 2**29)


def test_the_number_stays_within_64_bits() -> None:
    assert 0 <= cpu.mix(1000, seed=2**64 - 1) < 2**64


def test_it_keeps_the_gil(lets_others_run: Callable[..., bool]) -> None:
    assert not lets_others_run(lambda: cpu.mix(1000), chances=200)
