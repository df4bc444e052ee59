"""How a run ends, in order or not: the exit code, what is said, and what is kept. On a simulated world."""

import json
import signal
from dataclasses import replace

import pytest
from world import World, fails_with

from poolrace.contract import Outcome
from producer.errors import FleetError
from producer.measure import session
from producer.report.summary_json import from_json
from producer.rundir.events import EventKind
from producer.rundir.manifest import Distance
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter

RACE = ("race", "--workload", "sleep", "--concurrency", "2", "--pairs", "2", "--duration", "2s")
ENDS_S = 15.0
"""When a race of these words has measured the first round of both and begun the second on nodes that started anew."""

FAR = (0.0, float("inf"))
"""When each of two slots is free, of which one is not reached."""


@pytest.fixture
def race(command):
    """A small race on a world."""

    def run(world, *words):
        return command(world, *RACE, *words)

    return run


def counted(run):
    return [trial for trial in run.trials if trial.kind in {Kind.CAPACITY, Kind.LATENCY}]


def whole_files(path):
    """What a reader would stumble over: parts of files."""
    return list(path.rglob("*.part"))


def test_a_race_that_is_through_is_complete_and_good(race):
    world = World()
    ended = race(world)
    assert (ended.code, ended.err, ended.summary.problems) == (0, "", ())
    manifest = ended.run.manifest
    assert (manifest.status, manifest.settings.kind, manifest.others_cores) == ("complete", "race", 0.0)
    assert manifest.began_at < ended.run.trials[0].began_at < ended.run.trials[-1].ended_at <= manifest.ended_at
    # Two lanes, two pairs, two measures.
    assert len(counted(ended.run)) == 8
    assert ended.summary.settlement.done == ended.summary.settlement.sent > 0
    # prefork does 64 a second here, threads 32.
    medians = [lane.capacity_per_s.median for lane in ended.summary.workloads[0].lanes]
    assert medians == pytest.approx([64.0, 32.0], rel=0.05)
    assert from_json((ended.path / "summary.json").read_text()) == ended.summary


def test_every_slot_is_proven_before_anything_is_measured_and_ready_is_when_the_last_began(race):
    world = World()
    ended = race(world)
    # Each lane is started twice.
    assert [node.lane for node in ended.run.manifest.nodes] == ["prefork", "threads"] * 2
    # A second until the node answers, then the first jobs on each slot.
    assert [node.ready_s for node in ended.run.manifest.nodes] == pytest.approx([1.1] * 4, abs=0.1)
    first = ended.run.records.filter(ended.run.records["trial"] < 2)
    assert {lane: part.select("pid", "thread_id").n_unique() for (lane,), part in first.group_by("lane")} == {
        "prefork": 2, "threads": 2,
    }  # fmt: skip


def test_a_slot_that_takes_no_job_is_told_with_where_to_look(race, tmp_path):
    """A lane of which one slot is deaf: the other does all its jobs."""
    world = World()

    def deafen():
        world.free_at["threads"] = [0.0, float("inf")]

    world.at(0.5, deafen)
    ended = race(world, "--lane", "threads:2", "--lane", "prefork:2")
    assert ended.code == 3
    assert "Lane threads: only 1 of 2 slots took a job. See the node's log in " in ended.err
    assert counted(ended.run) == []


def test_a_slot_that_is_far_is_proven_though_near_ones_take_all_that_they_have_room_for(race):
    """A lane of which one slot gets a job only where more than six wait."""
    world = World()

    def near_first(lane, seq):
        if lane.key == "threads" and world.free_at.get("threads", FAR)[1] == FAR[1]:
            near, _ = world.free_at.get("threads", FAR)
            world.free_at["threads"] = [near, FAR[1] if seq < 6 else 0.0]
        return Outcome.SUCCEEDED

    world.outcome = near_first
    ended = race(world, "--lane", "threads:2", "--lane", "prefork:2")
    assert ended.code == 0
    held = [trial.jobs for trial in ended.run.trials if trial.lane == "threads" and trial.workload == "hold"]
    assert held[:2] == [4, 8]


def test_a_broker_that_is_gone_ends_the_run_and_what_was_measured_is_kept(race):
    world = World()
    world.at(ENDS_S, fails_with(FleetError("The broker is gone (connection reset).")))
    ended = race(world)
    assert ended.code == 3
    assert ended.err.splitlines()[-1] == "poolrace: The broker is gone (connection reset)."
    assert f"What was measured until then is kept, marked incomplete: {ended.path}" in ended.err
    assert (ended.summary.status, ended.summary.valid) == ("incomplete", False)
    assert len(counted(ended.run)) == 4
    assert ended.summary.settlement.done == ended.summary.settlement.sent > 0
    assert ended.run.manifest.reason == "The broker is gone (connection reset)."
    assert [each.kind for each in ended.run.events] == [EventKind.CUT_SHORT]
    assert whole_files(ended.path) == []


def test_an_interrupt_keeps_what_was_measured_and_has_an_exit_code_of_its_own(race):
    world = World()
    world.at(ENDS_S, fails_with(KeyboardInterrupt()))
    ended = race(world)
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "poolrace: Interrupted."
    assert (ended.summary.status, ended.run.manifest.reason) == ("incomplete", "Interrupted.")
    assert len(counted(ended.run)) == 4
    assert whole_files(ended.path) == []


def test_how_far_lanes_were_is_noted_however_a_run_ends_beside_those_of_an_earlier_part(race):
    world = World()
    world.far = [Distance(lane="threads", rtt_s=0.002, ping_s=0.0021, direct_s=0.0001)]

    def far_and_over():
        (found,) = world.far
        world.far = [replace(found, chunks=70, cpu_s=0.1)]
        raise KeyboardInterrupt

    world.at(ENDS_S, far_and_over)
    ended = race(world)
    assert ended.code == 130
    (found,) = ended.run.manifest.distances
    assert (found.lane, found.ping_s, found.chunks) == ("threads", 0.0021, 70)
    assert ended.summary.distances == (found,)


def test_jobs_that_are_lost_make_the_run_invalid(race):
    world = World(outcome=lambda lane, seq: None if lane.key == "threads" and seq == 20 else Outcome.SUCCEEDED)
    ended = race(world)
    assert (ended.code, ended.summary.status) == (4, "invalid")
    assert "sleep jobs on lane threads did not end in time: 0 still on the broker, 1 lost" in ended.err
    # One in each of the first three trials of the lane: so many are no chance.
    assert ended.summary.settlement.lost == 3


def test_a_full_disk_ends_the_run_with_the_file_and_the_way_out(race, tmp_path):
    world = World()

    def fill():
        (path,) = (tmp_path / "runs").iterdir()
        (path / "records" / "00006-000.parquet.part").symlink_to("/dev/full")

    world.at(0.5, fill)
    ended = race(world)
    assert ended.code == 4
    assert "00006-000.parquet cannot be written" in ended.err
    assert "No space left on device" in ended.err
    assert "--out" in ended.err
    assert ended.summary.status == "invalid"
    assert [trial.trial for trial in ended.run.trials] == [0, 1, 2, 3, 4, 5]


def test_a_fleet_that_does_not_come_up_leaves_no_directory(monkeypatch, tmp_path, capsys):
    """There is neither a trial nor a log to keep."""
    world = World()
    world.at(0.5, fails_with(FleetError("The node prefork@host did not become ready in 30 s.")))
    world.take_over(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        session_of("--out", str(tmp_path / "runs"))
    assert ended.value.code == 3
    assert capsys.readouterr().err.splitlines()[-1] == "poolrace: The node prefork@host did not become ready in 30 s."
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_fleet_that_does_not_come_up_leaves_its_logs(monkeypatch, tmp_path, capsys):
    world = World()

    def fail():
        (path,) = (tmp_path / "runs").iterdir()
        (path / "logs" / "prefork.log").write_text("no module named worker\n")
        raise FleetError("The node prefork@host ended.")

    world.at(0.5, fail)
    world.take_over(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        session_of("--out", str(tmp_path / "runs"))
    (path,) = (tmp_path / "runs").iterdir()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (3, "")
    assert f"Nothing was measured. Logs are in {path / 'logs'}." in captured.err
    assert json.loads((path / "manifest.json").read_text())["status"] == "incomplete"


def test_a_bug_keeps_its_traceback_and_marks_the_run(monkeypatch, tmp_path):
    world = World()
    world.at(ENDS_S, fails_with(ZeroDivisionError("of a bug")))
    world.take_over(monkeypatch)
    with pytest.raises(ZeroDivisionError, match="of a bug"):
        session_of("--out", str(tmp_path / "runs"))
    (path,) = (tmp_path / "runs").iterdir()
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("invalid", "ZeroDivisionError: of a bug")


@pytest.mark.usefixtures("interrupts_installed")
def test_an_interrupt_while_a_trial_is_written_waits_until_it_is(race, monkeypatch):
    """Files of a trial are written together: a signal comes between none of them."""
    write = RunWriter.add_table

    def add_table(writer, table, trial, frame):
        if (table, trial) == ("records", 5):
            signal.raise_signal(signal.SIGINT)
        write(writer, table, trial, frame)

    monkeypatch.setattr(RunWriter, "add_table", add_table)
    ended = race(World())
    assert (ended.code, ended.err.splitlines()[-1]) == (130, "poolrace: Interrupted.")
    assert [trial.trial for trial in ended.run.trials] == [0, 1, 2, 3, 4, 5]
    assert 5 in ended.run.sent["trial"]
    assert 5 in ended.run.records["trial"]


def session_of(*words):
    from producer.cli._root import main

    main([*RACE, "--json", *words])


def test_a_cpu_limit_that_cannot_be_kept_here_is_refused_before_anything_starts(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(session.control_group, "why_not", lambda limits: "no right." if limits.cpus else "")
    World().take_over(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        session_of("--lane", "threads:2", "--lane", "threads:2:cpus=0.5", "--out", str(tmp_path / "runs"))
    assert ended.value.code == 3
    assert capsys.readouterr().err.splitlines()[-1] == "poolrace: --lane threads-2: cpus: no right."
    assert not (tmp_path / "runs").exists()
