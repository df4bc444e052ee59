"""The facts of a machine: kernel texts are read right, limits are the tightest, noise is what the gaps say."""

import json
import os

import pytest
from msgspec import to_builtins

from poolrace.cgroup import Limits
from producer.fleet import machine
from producer.fleet.machine import (
    PACKAGES,
    Noise,
    Spin,
    container_name,
    describe,
    judge_gaps,
    noise,
    parse_cpu_model,
    spin,
    steal_share,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        (
            "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 7B13\nflags\t: a\nmodel name\t: other\n",
            "AMD EPYC 7B13",
        ),
        (
            "processor\t: 0\nBogoMIPS\t: 50.00\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
            "Raspberry Pi 4 Model B Rev 1.4",
        ),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", None),
    ],
)
def test_the_cpu_model_is_that_of_the_first_core(cpuinfo, model):
    assert parse_cpu_model(cpuinfo) == model


@pytest.mark.parametrize(
    ("texts", "environ", "name"),
    [
        ({}, {}, None),
        ({"/.dockerenv": ""}, {}, "docker"),
        ({"/run/.containerenv": 'engine="podman"'}, {}, "podman"),
        ({"/.dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"/proc/1/cgroup": "1:name=systemd:/lxc/web\n"}, {}, "lxc"),
        ({"/proc/1/cgroup": "0::/init.scope\n"}, {}, None),
        ({"/run/systemd/container": "systemd-nspawn\n", "/proc/1/cgroup": "0::/\n"}, {}, "systemd-nspawn"),
    ],
)
def test_a_container_is_known_by_its_traces(texts, environ, name):
    assert container_name(texts.get, environ) == name


def test_this_machine_can_be_described_and_written_as_json():
    here = describe()
    assert 1 <= here.cores_available <= here.cores_logical
    assert 0 < here.memory_available_bytes <= here.memory_total_bytes
    assert set(here.versions) == set(PACKAGES)
    assert here.versions["celery"].startswith("5.")
    assert json.loads(json.dumps(to_builtins(here)))["limits"].keys() == {"cpu_quota", "memory_bytes"}


def test_a_machine_without_a_readable_kernel_can_be_described():
    bare = describe({}.get, {})
    assert bare.limits == Limits()
    assert bare.cpu_governor is None
    assert bare.container is None


def test_the_clock_governor_is_read():
    read = {"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n"}.get
    assert describe(read, {}).cpu_governor == "performance"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_cores_that_this_process_may_not_use_are_not_available():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert describe().cores_available == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_quota_makes_cores_fewer_but_never_more():
    read = {"/sys/fs/cgroup/cpu.max": "50000 100000"}.get
    assert describe(read, {}).cores == 0.5
    read = {"/sys/fs/cgroup/cpu.max": "99900000 100000"}.get
    assert describe(read, {}).cores == describe({}.get, {}).cores_available


def test_a_missing_package_has_no_version(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("celery", "no-such-package"))
    assert describe().versions["no-such-package"] is None


class Clock:
    """Shows the given instants, one at each look."""

    def __init__(self, *instants_s):
        self.instants_s = iter(instants_s)

    def __call__(self):
        return next(self.instants_s)


def test_a_loop_notes_the_gaps_between_two_looks_at_the_clock():
    # 0.1 ms is not a gap; 5 ms and 0.9 ms are; the loop ends at the first instant past 10 ms.
    seen = spin(0.010, Clock(1.0, 1.0001, 1.0051, 1.0052, 1.0061, 1.0062, 1.0101))
    assert seen.gaps_s == [pytest.approx(0.005), pytest.approx(0.0009), pytest.approx(0.0039)]
    assert seen.elapsed_s == pytest.approx(0.0101)


def test_gaps_become_a_share_and_a_worst():
    # 5 ms + 1 ms of 300 ms: 2 %.
    judged = judge_gaps(Spin(gaps_s=[0.005, 0.001], elapsed_s=0.3), steal=0.01)
    assert judged.lost_share == pytest.approx(0.02)
    assert judged.worst_gap_s == 0.005
    assert judged.steal_share == 0.01


def test_no_gaps_are_no_noise():
    judged = judge_gaps(Spin(gaps_s=[], elapsed_s=0.3))
    assert (judged.lost_share, judged.worst_gap_s, judged.steal_share) == (0.0, 0.0, None)
    assert judged.quiet
    assert judged.advice is None


@pytest.mark.parametrize(
    ("lost_share", "worst_gap_s", "steal", "advice"),
    [
        (0.02, 0.01, 0.05, None),
        (0.021, 0.001, 0.0, "Other programs"),
        (0.001, 0.011, None, "Something stops"),
        (0.001, 0.001, 0.051, "The host"),
        (0.5, 0.5, 0.5, "The host"),
    ],
)
def test_a_machine_is_quiet_up_to_the_bounds_and_gets_one_advice_past_them(lost_share, worst_gap_s, steal, advice):
    measured = Noise(elapsed_s=0.3, lost_share=lost_share, worst_gap_s=worst_gap_s, steal_share=steal)
    assert measured.quiet is (advice is None)
    assert (measured.advice or "").startswith(advice or "")


# user nice system idle iowait irq softirq steal guest guest_nice
BEFORE = "cpu  100 0 50 800 0 0 0 10 40 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
AFTER = "cpu  130 0 60 850 0 0 0 20 70 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n"


def test_steal_is_a_share_of_all_time_with_guests_counted_once():
    # User 30, system 10, idle 50, steal 10: 10 of 100. The 30 of guests are within user.
    assert steal_share(BEFORE, AFTER) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "after"), [("", AFTER), (BEFORE, ""), (BEFORE, BEFORE), ("cpu 1 2 3 4\n", "cpu 2 3 4 5\n"), ("", "")]
)
def test_steal_is_unknown_where_the_kernel_does_not_tell(before, after):
    assert steal_share(before, after) is None


def test_noise_is_measured_with_the_clock_and_the_kernels_texts_that_are_given():
    texts = iter((BEFORE, AFTER))
    measured = noise(0.010, clock=Clock(0.0, 0.0001, 0.0051, 0.0101), read=lambda _: next(texts))
    assert measured.worst_gap_s == pytest.approx(0.005)
    assert measured.lost_share == pytest.approx(0.010 / 0.0101)
    assert measured.steal_share == pytest.approx(0.1)


def test_noise_of_this_machine_is_a_share():
    measured = noise(0.02)
    assert 0 <= measured.lost_share <= 1
    assert measured.elapsed_s >= 0.02
