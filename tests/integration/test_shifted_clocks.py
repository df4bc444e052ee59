"""Hosts whose clocks are seconds off: every figure is right within the bound that the run says."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from integration.commands import until

from producer.fleet.control import Control
from producer.fleet.environment import inherited_environment
from producer.fleet.own_clock import OwnClock
from producer.rundir.reader import read_run

POOLRACE = str(Path(sys.executable).with_name("poolrace"))
PATIENCE_S = 120
SHIFTS_S = {"prefork@ahead": 7.0, "prefork@right": 0.0, "threads@behind": -5.0, "threads@far": 3600.0}
SHIFTED_PUBLISHER_S = {"right": 0.0, "behind": -9.0}

pytestmark = pytest.mark.heavy


@pytest.fixture
def hosts(site, tmp_path):
    """Two nodes of each pool and two publishers of the demonstration, each with a clock of its own."""

    def with_clock(name, shift_s):
        clock = OwnClock(tmp_path / f"clock-{name}")
        clock.set_ahead(shift_s)
        return clock.added_to({**inherited_environment(os.environ), "POOLRACE_BROKER_URL": site.broker.url})

    with ExitStack() as stack:

        def start(name, command, shift_s):
            child = site.processes.start(name, command, env=with_clock(name, shift_s), log=tmp_path / f"{name}.log")
            stack.callback(site.processes.stop, child)

        for name, shift_s in SHIFTS_S.items():
            pool = name.partition("@")[0]
            start(
                name,
                [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-P", pool, "-c", "1", "-Q", pool,
                 "-n", name, "--without-gossip", "--without-mingle", "--loglevel", "WARNING"],
                shift_s,
            )  # fmt: skip
        for name, shift_s in SHIFTED_PUBLISHER_S.items():
            start(name, [POOLRACE, "publisher", "--broker", site.broker.url, "--name", name], shift_s)
        control = Control(site.app)
        stack.callback(control.close)
        until(lambda: set(SHIFTS_S) <= set(control.hello("0" * 16, (), 1.0)))
        yield


def test_every_instant_is_the_brokers_within_the_bound(site, hosts, tmp_path):
    done = subprocess.run(
        [POOLRACE, "load", "--broker", site.broker.url, "--expect-nodes", "4", "--expect-publishers", "2",
         "--rate", "8/s", "--duration", "5s", "--mix", "sleep", "--out", str(tmp_path / "runs"), "--json"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr  # 4: others used the machine
    summary = json.loads(done.stdout)
    run = read_run(tmp_path / "runs" / summary["run"]["directory"])
    assert {name: round(-clock.offset_s) for name, clock in run.manifest.clocks.items()} == SHIFTS_S
    shown = {clock["node"]: clock for clock in summary["clocks"]}
    assert {name: round(-clock["offset_s"]) for name, clock in shown.items()} == SHIFTS_S
    (machine,) = run.manifest.hosts  # all of them are on this one
    assert (set(machine.nodes), machine.cores) == (set(SHIFTS_S), os.cpu_count())
    assert 0 <= machine.others_cores <= machine.cores
    publishers = run.manifest.publisher_clocks
    assert {name: round(-clock.offset_s) for name, clock in publishers.items()} == SHIFTED_PUBLISHER_S
    bound_s = max(clock.bound_s for clock in (*run.manifest.clocks.values(), *publishers.values()))
    assert bound_s < min(abs(shift) for shift in (*SHIFTS_S.values(), *SHIFTED_PUBLISHER_S.values()) if shift)
    jobs = run.records.filter(run.records["trial"].is_in([trial.trial for trial in run.trials]))
    assert set(jobs["node"]) == set(SHIFTS_S)
    assert (jobs["received_at"] - jobs["sent_at"]).min() >= -2 * bound_s
    began_at, ended_at = run.trials[0].began_at, run.trials[-1].ended_at
    assert jobs["sent_at"].min() >= began_at - 2 * bound_s
    assert jobs["finished_at"].max() <= ended_at + 2 * bound_s
    assert all(lane["settlement"]["done"] == lane["settlement"]["sent"] for lane in summary["load"]["lanes"])
