"""A CPU limit of a lane is kept by the kernel, one that is not is found, and no control group stays behind."""

import json
import os
import re
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from integration.commands import PATIENCE_S, Command, load, poolrace, until
from msgspec import to_builtins
from recorded import recorded

from poolrace.cgroup import parse_self_cgroup
from producer.errors import FleetError
from producer.fleet.attached import AttachedFleet
from producer.fleet.control_group import GroupLimits, why_not
from producer.fleet.local import LocalFleet
from producer.measure.collector import Collector
from producer.measure.publishers import Publishers
from producer.measure.sizing import calibrate
from producer.measure.trial import TrialRunner
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import backlog
from producer.plan.jobs import Jobs
from producer.plan.lanes import parse_lanes
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter

CPUS = 0.2
REASON = why_not(GroupLimits(cpus=CPUS))
JOBS, JOB_S = 40, 0.02
MARGIN = 1.1
PERIOD_S = 0.1
ROOT = Path("/sys/fs/cgroup")
QUOTA_LOAD = (
    "load", "--lane", "threads:2:cpus=0.15", "--mix", "cpu=1", "--job-duration", "20ms", "--rate", "40/s",
    "--duration", "6s",
)  # fmt: skip

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(bool(REASON), reason=f"no CPU limit can be set here: {REASON}" if REASON else "never"),
]


def groups_of(pid: int) -> list[Path]:
    """The control groups that count and limit the CPU time of a process."""
    paths = parse_self_cgroup(Path(f"/proc/{pid}/cgroup").read_text())
    found = [ROOT / name / paths[name].strip("/") for name in ("cpu", "cpuacct") if name in paths]
    return found or [ROOT / paths[""].strip("/")]


def used_s(groups: list[Path]) -> float:
    """The CPU seconds that the kernel has counted in a group, whatever became of its processes."""
    for group in groups:
        if (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text()) / 1e9
    counts = dict(line.split() for line in (groups[0] / "cpu.stat").read_text().splitlines())
    return int(counts["usage_usec"]) / 1e6


def moved_out(groups: list[Path]) -> None:
    """Move all that is in a group out of it."""
    for group in groups:
        for pid in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(pid)


def go_first(process: psutil.Process) -> None:
    """Let a process have the cores before others, where we may: on a busy machine it would use less than it wants."""
    for thread in process.threads():
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread.id, -10)


def node_groups(command: Command) -> list[Path]:
    """The groups of the node, once it is in them."""

    def found() -> list[Path]:
        groups = groups_of(command.node("threads").pid)
        return groups if all("poolrace-" in group.name for group in groups) else []

    return until(found)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_node_gets_no_more_cpu_time_than_its_limit_with_all_its_processes(tmp_path: Path, pool: str) -> None:
    run_id = secrets.token_hex(8)
    (lane,) = parse_lanes([f"{pool}:2:cpus={CPUS}"], least=1)
    size = calibrate(["cpu"], job_s=JOB_S, cpu_share=None)["cpu"]
    writer = RunWriter.create(tmp_path, "run", {"run_id": run_id, "settings": to_builtins(recorded())})
    with (
        LocalFleet(run_id, [lane], logs=tmp_path, broker_url=None, needs_upstream=False, ready_s=60.0) as fleet,
        Publishers(fleet.broker.url) as publishers,
        Collector(fleet.app, run_id, lane_of=dict.fromkeys(fleet.nodes(lane), lane.key)) as collector,
    ):
        began = time.monotonic()
        (node,) = fleet.start(lane)
        groups = groups_of(node.hello["pid"])
        runner = TrialRunner(run_id, fleet, writer, publishers, collector)
        try:
            runner.prove_slots(lane)
            jobs = Jobs.of("cpu", "worker.cpu", tuple(size["amount"]), expected_s=JOB_S)
            trial = runner.measure(TrialSpec(kind=Kind.CAPACITY, jobs=jobs, lane=lane, plan=backlog(JOBS)))
        finally:
            runner.close()
        counted_s, elapsed_s = used_s(groups), time.monotonic() - began
        assert node.hello["limits"]["cpu_quota"] == CPUS
        # From its start on, which is in the group, too.
        assert counted_s <= MARGIN * CPUS * (elapsed_s + PERIOD_S)
        assert 0 < trial.cpu_s <= counted_s + PERIOD_S
        assert 0 <= trial.throttling.throttled <= trial.throttling.periods > 0
        # On a machine that others leave too little of, it never comes to its limit.
        had_all = trial.cpu_s > 0.9 * CPUS * (trial.ended_at - trial.began_at)
        assert trial.throttling.throttled > 0 or not had_all
    assert not any(group.exists() for group in groups)


def test_a_quota_that_is_taken_away_while_it_runs_is_a_problem_of_the_run(tmp_path: Path) -> None:
    with poolrace(tmp_path, *QUOTA_LOAD, "--json", "--out", str(tmp_path / "runs")) as command:
        groups = node_groups(command)
        manifest = until(lambda: next(tmp_path.glob("runs/*/manifest.json"), None))
        until(lambda: load(manifest).get("nodes"))  # it has answered, and found its limit
        moved_out(groups)
        go_first(command.node("threads"))
        code, out, err = command.finish()
        command.assert_nothing_left()
    problems = [each for each in json.loads(out)["problems"] if "quota" in each]
    assert code == 4, err
    assert re.match(r"The quota of threads@\S+ was not applied: it used .* and cpus is 0\.15\.", problems[0])
    assert not any(group.exists() for group in groups)


def test_a_quota_that_is_not_there_at_the_start_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    with poolrace(tmp_path, *QUOTA_LOAD, "--out", str(tmp_path / "runs")) as command:
        groups = node_groups(command)
        moved_out(groups)
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code == 3
    assert re.search(r"The quota of threads@\S+, cpus 0\.15, was not applied: its process finds none on itself\.", err)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_however_a_run_ends_its_control_groups_are_gone(tmp_path: Path, number: signal.Signals) -> None:
    with poolrace(tmp_path, *QUOTA_LOAD, "--out", str(tmp_path / "runs")) as command:
        groups = node_groups(command)
        inside = [psutil.Process(int(pid)) for pid in (groups[0] / "cgroup.procs").read_text().split()]
        command.descendants()  # takes note of them
        command.process.send_signal(number)
        command.finish()
        until(lambda: not any(group.exists() for group in groups))
        command.assert_nothing_left()
    assert inside
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in inside)


def test_nodes_that_run_already_tell_their_limits_and_are_no_one_lane_if_these_differ(tmp_path: Path) -> None:
    lanes = parse_lanes(["threads:1:cpus=0.3", "threads:1:cpus=0.4"])
    with LocalFleet(
        secrets.token_hex(8), lanes, logs=tmp_path, broker_url=None, needs_upstream=False, ready_s=60.0
    ) as fleet:
        nodes = [node.node for lane in lanes for node in fleet.start(lane)]
        url = fleet.broker.url
        with attached_to(url, *map(fleet.queue, lanes)) as attached:
            assert [dict(lane.settings)["cpus"] for lane in attached.lanes] == ["0.3", "0.4"]
        fleet.app.control.add_consumer("shared", destination=nodes, reply=True, limit=2, timeout=PATIENCE_S)
        said = rf"are not one lane, since they differ in cpus: 0\.4 on {nodes[1]}, 0\.3 on {nodes[0]}\."
        with pytest.raises(FleetError, match=said), attached_to(url, "shared"):
            pass


def attached_to(url: str, *queues: str) -> AttachedFleet:
    """A fleet of the nodes that consume some queues, for a run of its own."""
    return AttachedFleet(secrets.token_hex(8), broker_url=url, expect_nodes=2, queues=queues)
