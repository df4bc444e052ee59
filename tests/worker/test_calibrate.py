"""Jobs are sized on a machine whose clock only its work moves."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from worker import calibrate
from worker.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT_S = 2**-20
"""About a microsecond, and exact in binary, so that sums of it are exact too."""


@dataclass(kw_only=True)
class Machine:
    """Some work, and a clock that moves with it; each run is slower than on a quiet machine by a factor."""

    slowness: Iterator[float] = field(default_factory=lambda: itertools.repeat(1.0))
    now_s: float = 1000.0
    runs: list[int] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    def work(self, units: int) -> None:
        self.runs.append(units)
        self.now_s += units * UNIT_S * next(self.slowness)


def fit(machine: Machine, target_s: float) -> tuple[int, float]:
    rate_per_s = calibrate.measure_rates([machine.work], machine.clock)[machine.work]
    return calibrate.fit(machine.work, rate_per_s, target_s, machine.clock)


def test_the_rate_is_units_a_second() -> None:
    machine = Machine()
    assert calibrate.measure_rates([machine.work], machine.clock) == {machine.work: 2**20}


def test_a_probe_is_long_enough_to_be_read_off_a_clock() -> None:
    machine = Machine()
    units = calibrate.probe_units(machine.work, machine.clock)
    assert units == 8192
    assert units * UNIT_S >= calibrate.PROBE_S > units / 2 * UNIT_S


def test_the_amount_is_the_target_times_the_rate() -> None:
    assert fit(Machine(), 1 / 64) == (2**14, 1 / 64)


def test_noise_in_all_runs_but_a_few_changes_nothing() -> None:
    noisy = Machine(slowness=itertools.cycle([1.7, 3.0, 1.2, 1.0, 9.0]))
    assert calibrate.measure_rates([noisy.work], noisy.clock)[noisy.work] == 2**20


def test_a_check_that_is_slower_is_returned_as_it_is() -> None:
    machine = Machine(slowness=itertools.repeat(1.5))
    assert calibrate.fit(machine.work, 2**20, 1 / 64, machine.clock) == (2**14, 1.5 / 64)


def test_a_check_that_is_faster_corrects_the_amount() -> None:
    machine = Machine()
    assert calibrate.fit(machine.work, 2**19, 1 / 64, machine.clock) == (2**14, 1 / 64)


def test_a_long_target_is_checked_on_a_part_of_it() -> None:
    machine = Machine()
    units, measured_s = calibrate.fit(machine.work, 2**20, 32.0, machine.clock)
    assert (units, measured_s) == (2**25, 32.0)
    assert max(machine.runs) * UNIT_S <= 0.021


def test_no_target_needs_no_work() -> None:
    assert calibrate.fit(Machine().work, 2**20, 0.0, Machine().clock) == (0, 0.0)


def test_a_job_with_a_target_has_at_least_one_unit() -> None:
    assert calibrate.units_of(100.0, 0.0001) == 1


def test_all_of_it_takes_under_half_a_second_of_a_quiet_machine() -> None:
    machine = Machine()
    fit(machine, 0.020)
    assert machine.now_s - 1000.0 < 0.5


def test_works_take_turns_so_that_a_burst_of_noise_hits_none_alone() -> None:
    machine, order = Machine(), []

    def first(units: int) -> None:
        order.append("first")
        machine.work(units)

    def second(units: int) -> None:
        order.append("second")
        machine.work(units)

    calibrate.measure_rates([first, second], machine.clock)
    assert order[-4:] == ["first", "second", "first", "second"]


def test_a_job_of_work_is_given_units() -> None:
    machine = Machine()
    workload = replace(WORKLOADS["cpu"], work=machine.work, target_s=1 / 64)
    sized = calibrate.size_all([workload], machine.clock)
    assert sized == {"cpu": calibrate.Sized(amount=(2**14,), target_s=1 / 64, measured_s=1 / 64)}


def test_a_mixed_job_waits_for_what_it_does_not_compute() -> None:
    machine = Machine()
    workload = replace(WORKLOADS["mixed"], work=machine.work, target_s=1 / 16, cpu_share=0.25)
    sized = calibrate.size_all([workload], machine.clock)
    # 3/4 of 62,500 us wait, then 1/64 s of work.
    assert sized == {"mixed": calibrate.Sized(amount=(46875, 2**14), target_s=1 / 16, measured_s=1 / 16)}


@pytest.mark.parametrize(("cpu_share", "amount"), [(0.0, (62500, 0)), (1.0, (0, 2**16))])
def test_a_mixed_job_may_be_all_of_one_and_keeps_both_arguments(cpu_share: float, amount: tuple[int, int]) -> None:
    machine = Machine()
    workload = replace(WORKLOADS["mixed"], work=machine.work, target_s=1 / 16, cpu_share=cpu_share)
    assert calibrate.size_all([workload], machine.clock)["mixed"].amount == amount


def test_neither_a_wait_nor_a_fixed_amount_is_measured() -> None:
    machine = Machine()
    names = ("io", "sleep", "disk", "noop")
    sized = calibrate.size_all([WORKLOADS[name] for name in names], machine.clock)
    assert sized == {
        "io": calibrate.Sized(amount=(50_000,), target_s=0.05, measured_s=None),
        "sleep": calibrate.Sized(amount=(50_000,), target_s=0.05, measured_s=None),
        "disk": calibrate.Sized(amount=(64,), target_s=None, measured_s=None),
        "noop": calibrate.Sized(amount=(), target_s=0.0, measured_s=None),
    }
    assert machine.runs == []


def test_the_command_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    calibrate.main(["io", "disk", "noop", "--target", "0.002"])
    assert json.loads(capsys.readouterr().out) == {
        "io": {"amount": [2000], "target_s": 0.002, "measured_s": None},
        "disk": {"amount": [64], "target_s": None, "measured_s": None},
        "noop": {"amount": [], "target_s": 0.0, "measured_s": None},
    }


def test_the_command_measures_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    calibrate.main(["cpu", "native", "mixed", "--target", "0.004", "--cpu-share", "0.5"])
    sizes = json.loads(capsys.readouterr().out)
    assert list(sizes) == ["cpu", "native", "mixed"]
    assert sizes["mixed"]["amount"][0] == 2000
    for sized in sizes.values():
        assert sized["target_s"] == 0.004
        assert sized["measured_s"] > 0
        assert all(isinstance(amount, int) and amount > 0 for amount in sized["amount"])


def test_a_cpu_share_changes_only_what_has_one() -> None:
    assert calibrate.wanted(WORKLOADS["mixed"], None, 0.5).cpu_share == 0.5
    assert calibrate.wanted(WORKLOADS["cpu"], None, 0.5) == WORKLOADS["cpu"]
    assert calibrate.wanted(WORKLOADS["io"], None, 0.5) == WORKLOADS["io"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: WORKLOAD"),
        (["gpu"], "invalid choice: 'gpu' (choose from"),
        (["cpu", "--target", "0"], "'0': must be a number from 0.0001 to 60"),
        (["cpu", "--target", "nan"], "'nan': must be a number from 0.0001 to 60"),
        (["cpu", "--target", "soon"], "'soon': must be a number from 0.0001 to 60"),
        (["cpu", "--target", "61"], "'61': must be a number from 0.0001 to 60"),
        (["mixed", "--cpu-share", "1.1"], "'1.1': must be a number from 0 to 1"),
        (["mixed", "--cpu-share=-0.1"], "'-0.1': must be a number from 0 to 1"),
    ],
)
def test_a_bad_argument_exits_2_and_says_what_is_allowed(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        calibrate.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err
