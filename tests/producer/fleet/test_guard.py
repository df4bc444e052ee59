"""The guard ends what it was told of, and nothing else; tried on real processes."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from producer.fleet import guard
from producer.fleet.guard import Guarded, end_noted, find_expected, remove_groups, watch

PATIENCE_S = 30.0

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
SLEEPER = "print(flush=True); import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


@pytest.fixture
def start():
    """Starts Python programs that say a line when they are ready; ends what is left of them."""
    started = []

    def start(program):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline()

    yield start
    for process in started:
        for child in children_of(process):
            child.kill()
        process.kill()
        process.communicate()


def children_of(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def start_tree(start, child=SLEEPER):
    """A parent and its child."""
    parent, line = start(PARENT.replace("CHILD", repr(child)))
    return parent, psutil.Process(int(line))


def created(process):
    return psutil.Process(process.pid).create_time()


def has_ended(process):
    try:
        return psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_notes_tell_what_is_to_be_looked_after():
    lines = ["process 10 1.5\n", "folder /tmp/a b\n", "process 11 2.5\n", "group /c/d\n", "forget 10\n", "forget 99\n"]
    assert watch(lines) == Guarded(processes={11: 2.5}, groups=[Path("/c/d")], folders=[Path("/tmp/a b")])


def test_a_note_cut_short_by_the_death_of_its_writer_is_left_out():
    assert watch(["process 10 1.5\n", "process 11"]) == Guarded(processes={10: 1.5})
    assert watch(["process 10 1.5\n", "fold"]) == Guarded(processes={10: 1.5})
    assert watch(["process 10 1.5\n", "folder /tmp/poolrace-h"]) == Guarded(processes={10: 1.5})
    assert watch(["process 10 1.5\n", "process 11 1700000000.4"]) == Guarded(processes={10: 1.5})


def test_a_process_and_its_children_are_ended(start):
    parent, child = start_tree(start)
    end_noted({parent.pid: created(parent)}, patience_s=0.1)
    assert has_ended(parent)
    assert has_ended(child)


def test_who_does_not_end_when_asked_is_killed(start):
    stubborn, _ = start(STUBBORN)
    end_noted({stubborn.pid: created(stubborn)}, patience_s=0.1)
    assert has_ended(stubborn)


def test_a_child_that_outlives_its_parent_is_killed(start):
    """A parent that ends at once does not wait for a child that does not."""
    parent, child = start_tree(start, child=STUBBORN)
    end_noted({parent.pid: created(parent)}, patience_s=0.1)
    assert has_ended(parent)
    assert has_ended(child)


def test_a_process_that_has_only_got_the_number_is_left_alone(start):
    """Numbers of processes are given out again; when a process was created tells them apart."""
    stranger, _ = start(SLEEPER)
    end_noted({stranger.pid: created(stranger) - 1}, patience_s=0.1)
    assert stranger.poll() is None


def test_a_process_that_is_gone_keeps_no_other_from_being_ended(start):
    ended, _ = start("print()")
    ended.wait(PATIENCE_S)
    left, _ = start(SLEEPER)
    end_noted({ended.pid: 1.0, left.pid: created(left)}, patience_s=PATIENCE_S)
    assert has_ended(left)


@pytest.fixture
def guarding():
    """A guard, started as a fleet does."""
    command = [sys.executable, "-P", guard.__file__]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_when_its_input_closes_it_ends_what_it_was_told_of(start, guarding, tmp_path):
    parent, child = start_tree(start)
    other, _ = start(SLEEPER)
    stranger, _ = start(SLEEPER)
    folder = tmp_path / "broker"
    (folder / "deep").mkdir(parents=True)
    notes = [
        f"process {parent.pid} {created(parent)!r}",
        f"process {other.pid} {created(other)!r}",
        f"process {stranger.pid} {created(stranger) - 5!r}",
        f"folder {folder}",
        f"folder {tmp_path / 'gone already'}",
        f"forget {other.pid}",
    ]
    assert guarding.communicate("\n".join(notes) + "\n", timeout=PATIENCE_S) == ("", "")
    assert guarding.returncode == 0
    assert has_ended(parent)
    assert has_ended(child)
    assert not folder.exists()
    assert other.poll() is None
    assert stranger.poll() is None


def test_ctrl_c_and_sigterm_do_not_stop_it_from_clearing_up(guarding, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    guarding.stdin.write(f"folder {folder}\n")
    guarding.stdin.flush()
    # It ignores signals from its first lines on; that it does so is to be seen in what the kernel says of it.
    process = psutil.Process(guarding.pid)
    while not all(ignores(process.pid, number) for number in (2, 15)):
        assert guarding.poll() is None
    process.send_signal(2)
    process.send_signal(15)
    guarding.communicate(timeout=PATIENCE_S)
    assert guarding.returncode == 0
    assert not folder.exists()


def ignores(pid, number):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigIgn")]
    return bool(int(mask, 16) & (1 << (number - 1)))


def test_it_loads_nothing_of_ours_beside_itself():
    """It has to be there within a moment of the fleet's first process."""
    program = (
        f"import runpy, sys; runpy.run_path({guard.__file__!r}); print([m for m in sys.modules if 'producer' in m])"
    )
    shown = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_what_is_about_to_be_started_is_expected_until_it_is_noted_or_could_not_be():
    assert watch(["expect one\n"]) == Guarded(expected="one")
    assert watch(["expect one\n", "process 10 1.5\n"]) == Guarded(processes={10: 1.5})
    assert watch(["expect one\n", "expect \n"]) == Guarded()
    assert watch(["expect one\n", "process 10 1.5\n", "expect two\n"]) == Guarded(processes={10: 1.5}, expected="two")


def test_a_process_that_is_expected_is_found_by_its_mark_and_what_it_started_is_not():
    command = [sys.executable, "-c", PARENT.replace("CHILD", repr(SLEEPER))]
    environment = {**os.environ, guard.MARK: "the mark"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True) as process:
        process.stdout.readline()
        try:
            assert find_expected("the mark") == {process.pid: created(process)}
            assert find_expected("another mark", 0.0) == {}
        finally:
            for child in children_of(process):
                child.kill()
            process.kill()


def test_groups_that_are_gone_already_are_no_trouble(tmp_path):
    assert remove_groups([tmp_path / "gone"]) == []


def test_a_group_that_cannot_be_removed_is_told(tmp_path):
    """Of a folder that is no control group the kernel has no list of processes."""
    assert remove_groups([tmp_path], 0.05) == [tmp_path]
