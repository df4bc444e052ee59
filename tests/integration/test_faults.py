"""What goes wrong gives one message, the right exit code, and leaves nothing but what was measured."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from integration.commands import SMALL, Command, load, only_run, poolrace, race, until
from sample_run import make_run

from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes


def racing(command: Command, tmp_path: Path) -> None:
    """Wait until some trials that count have ended: four of the warm-up come first."""
    until(lambda: list((tmp_path / "runs").glob("*/records/*.parquet"))[6:])


def long_race(tmp_path: Path) -> tuple[str, ...]:
    return ("race", *SMALL, "--pairs", "100", "--out", str(tmp_path / "runs"))


def assert_one_message(err: str) -> None:
    assert "Traceback" not in err
    assert [line for line in err.splitlines() if line.startswith("poolrace: ")] != []


@pytest.mark.heavy
@pytest.mark.parametrize("lane", ["prefork", "threads"])
def test_a_node_that_dies_ends_the_race_and_what_was_measured_is_kept(tmp_path: Path, lane: str) -> None:
    with poolrace(tmp_path, *long_race(tmp_path)) as command:
        racing(command, tmp_path)
        command.node(lane).kill()
        code, out, err = command.finish()
        command.assert_nothing_left()
    assert code == 3, err
    assert_one_message(err)
    assert f"node {lane}@" in err
    assert "SIGKILL" in err
    assert "This run is not valid" in out
    summary = load(only_run(tmp_path) / "summary.json")
    assert summary["status"] == "incomplete"
    assert summary["settlement"]["done"] > 0


@pytest.mark.heavy
def test_a_broker_that_dies_ends_the_race(tmp_path: Path) -> None:
    with poolrace(tmp_path, *long_race(tmp_path)) as command:
        racing(command, tmp_path)
        command.broker().kill()
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code == 3, err
    assert_one_message(err)
    assert load(only_run(tmp_path) / "manifest.json")["status"] == "incomplete"


def test_a_race_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    with poolrace(tmp_path, *long_race(tmp_path)) as command:
        racing(command, tmp_path)
        command.broker()
        command.process.kill()
        command.process.wait()
        command.assert_nothing_left()
    with poolrace(tmp_path, "report", str(only_run(tmp_path))) as command:
        code, out, _ = command.finish()
    assert code == 4
    assert "incomplete" in out


def test_a_broker_that_refuses_is_told_with_its_address(tmp_path: Path) -> None:
    code, _, err = race(tmp_path, "--broker", "redis://127.0.0.1:1/0")
    assert code == 3, err
    assert_one_message(err)
    assert "127.0.0.1:1" in err
    assert "cannot be reached" in err
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("user", ["", ":a-wrong-secret@"])
def test_a_broker_that_wants_a_password_is_told_and_no_password_is_printed(tmp_path: Path, user: str) -> None:
    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        address = broker.url.rpartition("@")[2]
        code, out, err = race(tmp_path, "--broker", f"redis://{user}{address}")
    assert code == 3, err
    assert "password" in err
    assert "a-wrong-secret" not in out + err
    assert broker.url.split("@")[0].rpartition(":")[2] not in out + err


@pytest.mark.heavy
def test_a_lane_whose_interpreter_lacks_celery_is_refused_with_the_command_that_installs_it(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = bare / "bin" / "python"
    code, _, err = race(tmp_path, "--lane", "threads:2", "--lane", f"threads:2:python={python}")
    assert code == 2
    assert_one_message(err)
    assert f"{python} -m pip install" in err


@pytest.mark.heavy
def test_a_node_that_never_becomes_ready_is_given_up(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *celery*worker*) sleep 600;; *) exec {sys.executable} "$@";; esac\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    code, _, err = race(tmp_path, "--lane", "threads:2", "--lane", f"threads:2:python={python}", "--ready-within", "3s")
    assert code == 3, err
    assert_one_message(err)
    assert "did not become ready" in err


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_race_with_the_file_and_the_way_out(tmp_path: Path) -> None:
    with poolrace(tmp_path, *long_race(tmp_path)) as command:
        records = until(lambda: next((tmp_path / "runs").glob("*/records"), None))
        # Writing the records of the seventh trial meets a full disk.
        (records / "00006-000.parquet.part").symlink_to("/dev/full")
        code, out, err = command.finish()
        command.assert_nothing_left()
    assert code == 4
    assert_one_message(err)
    assert "00006-000.parquet cannot be written" in err
    assert "No space left on device" in err
    assert "--out" in err
    assert "This run is not valid" in out
    summary = load(only_run(tmp_path) / "summary.json")
    assert summary["status"] == "invalid"
    assert len((only_run(tmp_path) / "trials.jsonl").read_text().splitlines()) == 6


def test_a_run_directory_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with poolrace(tmp_path, "race", "--out", str(tmp_path / "file")) as command:
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code == 2
    assert_one_message(err)
    assert "--out" in err


def test_a_damaged_run_directory_is_told_by_file(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    part = next((run / "records").iterdir())
    part.write_bytes(part.read_bytes()[:100])
    with poolrace(tmp_path, "report", str(run)) as command:
        code, out, err = command.finish()
    assert (code, out) == (2, "")
    assert_one_message(err)
    assert part.name in err


def test_a_reader_that_closes_the_pipe_gets_no_traceback(tmp_path: Path) -> None:
    line = f"{Path(sys.executable).with_name('poolrace')} report {make_run(tmp_path)} | head -n 1"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr == ""
    assert ended.stdout.startswith("Race of")


@pytest.mark.heavy
def test_a_named_broker_that_dies_ends_the_race(tmp_path: Path) -> None:
    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        with poolrace(tmp_path, *long_race(tmp_path), "--broker", broker.url, "--start-nodes") as command:
            racing(command, tmp_path)
            processes.stop(*processes._children)
            code, _, err = command.finish()
            command.assert_nothing_left()
    assert code == 3
    assert_one_message(err)
    assert load(only_run(tmp_path) / "manifest.json")["status"] == "incomplete"
