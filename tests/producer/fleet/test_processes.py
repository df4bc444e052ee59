"""Processes that a fleet starts are ended with it, and one that ends by itself is told with the end of its log."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from producer import deadlines
from producer.errors import FleetError
from producer.fleet.control_group import GroupLimits, why_not
from producer.fleet.processes import LOG_TAIL_LINES, Processes

PATIENCE_S = 30.0
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def processes():
    with Processes() as processes:
        yield processes


def python(program):
    return [sys.executable, "-c", program]


def ended(processes, program, log):
    """A child that has run a program to its end."""
    child = processes.start("node threads@host", python(program), log=log)
    child.process.wait(PATIENCE_S)
    return child


def test_leaving_ends_the_processes_and_removes_the_folders(tmp_path):
    with Processes() as processes:
        folder = processes.folder()
        (folder / "file").write_text("x")
        child = processes.start("sleeper", SLEEPER, log=tmp_path / "log")
        assert child.process.poll() is None
    assert child.process.poll() is not None
    assert not folder.exists()


def test_leaving_through_an_error_clears_up_too(tmp_path):
    def fail():
        with Processes() as processes:
            started.append(processes.folder())
            started.append(processes.start("sleeper", SLEEPER, log=tmp_path / "log"))
            raise ZeroDivisionError

    started = []
    with pytest.raises(ZeroDivisionError):
        fail()
    folder, child = started
    assert child.process.poll() is not None
    assert not folder.exists()


def test_an_interrupt_while_clearing_up_does_not_stop_it(tmp_path, interrupts_installed):
    def clear_up():
        with Processes() as processes:
            children.append(processes.start("sleeper", SLEEPER, log=tmp_path / "log"))
            # Comes while it waits for the sleeper to end.
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    children = []
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        clear_up()
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert children[0].process.poll() is not None


def test_a_folder_is_private_to_the_user(processes):
    assert processes.folder().stat().st_mode & 0o077 == 0


def test_a_child_has_a_session_of_its_own_so_that_ctrl_c_reaches_it_only_through_us(processes, tmp_path):
    child = processes.start("sleeper", SLEEPER, log=tmp_path / "log")
    assert os.getsid(child.process.pid) == child.process.pid != os.getsid(0)


def test_output_goes_to_the_log_and_is_added_to_it(processes, tmp_path):
    log = tmp_path / "log"
    ended(processes, "print('one')", log)
    ended(processes, "import sys; print('two', file=sys.stderr)", log)
    assert log.read_text() == "one\ntwo\n"


def test_it_gets_the_environment_and_folder_it_is_given(processes, tmp_path):
    child = processes.start(
        "shower",
        python("import os; print(os.getcwd(), os.environ['WORD'], 'HOME' in os.environ)"),
        log=tmp_path / "log",
        env={"WORD": "given"},
        cwd=tmp_path,
    )
    child.process.wait(PATIENCE_S)
    assert child.log.read_text() == f"{tmp_path} given False\n"


def test_a_child_that_runs_passes_the_check(processes, tmp_path):
    child = processes.start("sleeper", SLEEPER, log=tmp_path / "log")
    child.check()
    processes.check()
    assert (child.ended(), child.process.poll()) == (None, None)


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("raise SystemExit(0)", "exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "signal SIGKILL"),
    ],
)
def test_a_child_that_has_ended_is_told_with_how_and_the_end_of_its_log(processes, tmp_path, program, how):
    log = tmp_path / "log"
    child = ended(processes, f"print('last words', flush=True)\n{program}", log)
    with pytest.raises(FleetError) as raised:
        child.check()
    assert str(raised.value) == (
        f"The node threads@host ended with {how}. The end of its log, {log}:\n    last words"
    )  # fmt: skip
    with pytest.raises(FleetError):
        processes.check()


def test_only_the_last_lines_of_a_long_log_are_told(processes, tmp_path):
    child = ended(processes, "print(*range(100), sep='\\n')", tmp_path / "log")
    assert child.tail().split() == [str(line) for line in range(100 - LOG_TAIL_LINES, 100)]


def test_a_log_that_is_empty_or_gone_says_so(processes, tmp_path):
    child = ended(processes, "", tmp_path / "log")
    assert child.tail() == "    (empty)"
    child.log.unlink()
    assert child.tail() == "    (empty)"


def test_a_program_that_is_not_there_is_told(processes, tmp_path):
    with pytest.raises(FleetError, match=r"The node threads@host cannot be started: .*No such file"):
        processes.start("node threads@host", ["/nowhere/python"], log=tmp_path / "log")


def test_a_child_that_is_stopped_is_no_longer_checked(processes, tmp_path):
    first = processes.start("first", SLEEPER, log=tmp_path / "log")
    second = processes.start("second", SLEEPER, log=tmp_path / "log")
    processes.stop(first)
    assert first.process.poll() is not None
    assert second.process.poll() is None
    processes.check()


def test_several_are_asked_to_end_at_the_same_time(processes, tmp_path):
    """Each waits for the other's last words, so one after the other would be too late for the first."""
    program = """
import os, signal, sys, time
mine, other = sys.argv[1:]
def leave(*_):
    open(mine, "w").close()
    while not os.path.exists(other):
        time.sleep(0.01)
    print("left in order", flush=True)
    raise SystemExit
signal.signal(signal.SIGTERM, leave)
open(mine + ".ready", "w").close()
while True:
    time.sleep(1)
"""
    names = [str(tmp_path / "a"), str(tmp_path / "b")]
    a, b = names
    children = [
        processes.start(mine, [*python(program), mine, other], log=Path(mine + ".log"))
        for mine, other in ((a, b), (b, a))
    ]
    while not all(Path(name + ".ready").exists() for name in names):
        processes.check()
    processes.stop(*children)
    assert [child.log.read_text() for child in children] == ["left in order\n"] * 2


OWNER = """
import sys, time
from pathlib import Path
from producer.fleet.processes import Processes
with Processes() as processes:
    folder = processes.folder()
    child = processes.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], log=Path(sys.argv[1]))
    print(child.process.pid, folder, flush=True)
    time.sleep(600)
"""


def test_should_the_owner_be_killed_the_guard_clears_up(tmp_path):
    owner = subprocess.Popen([*python(OWNER), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    pid, folder = owner.stdout.readline().split()
    child = psutil.Process(int(pid))
    owner.kill()
    # The guard shares the owner's output, so this ends when the guard has.
    owner.communicate(timeout=PATIENCE_S)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not Path(folder).exists()


GROUPED = """
import sys, time
from pathlib import Path
from producer.fleet.control_group import GroupLimits
from producer.fleet.processes import Processes
with Processes() as processes:
    group = processes.group(GroupLimits(cpus=0.5))
    # What it starts has another session and parent, so that only the group still knows it.
    program = "import subprocess, time; subprocess.run(['sh', '-c', 'setsid sleep 600 &']); time.sleep(600)"
    processes.start("sleeper", [sys.executable, "-c", program], log=Path(sys.argv[1]), group=group)
    print(*group.folders, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(bool(why_not(GroupLimits(cpus=0.5))), reason=why_not(GroupLimits(cpus=0.5)) or "never")
def test_should_the_owner_be_killed_the_guard_removes_control_groups_and_all_that_is_in_them(tmp_path):
    owner = subprocess.Popen([*python(GROUPED), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    folders = [Path(word) for word in owner.stdout.readline().split()]

    def both():
        found = (folders[0] / "cgroup.procs").read_text().split()
        return len(found) > 1 and [psutil.Process(int(pid)) for pid in found]

    inside = deadlines.until(both, PATIENCE_S)
    owner.kill()
    owner.communicate(timeout=PATIENCE_S)
    assert not any(folder.exists() for folder in folders)
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in inside)


def test_a_guard_that_was_killed_stops_nothing_from_being_ended(tmp_path):
    with Processes() as processes:
        processes._guard.kill()
        processes._guard.wait()
        folder = processes.folder()
        child = processes.start("sleeper", SLEEPER, log=tmp_path / "log")
    assert child.process.poll() is not None
    assert not folder.exists()


FLEET_OF_ONE_THAT_STAYS = """
import signal, sys
from pathlib import Path
from producer import interrupts
from producer.fleet.processes import Processes

interrupts.install()
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
with Processes() as processes:
    folder = processes.folder()
    child = processes.start("stubborn", [sys.executable, "-c", stubborn], log=Path(sys.argv[1]))
    while not child.said():
        pass
    print(folder, child.process.pid, flush=True)
    child.process.wait()
"""


def test_a_fleet_within_a_fleet_that_takes_long_to_end_leaves_nothing_either(processes, tmp_path):
    inner = processes.start(
        "inner", [sys.executable, "-c", FLEET_OF_ONE_THAT_STAYS, str(tmp_path / "stubborn")], log=tmp_path / "log"
    )
    told = deadlines.until(inner.said, PATIENCE_S)
    folder, stubborn = told.split()
    processes.stop(inner)
    assert not Path(folder).exists()
    assert not psutil.pid_exists(int(stubborn)) or psutil.Process(int(stubborn)).status() == psutil.STATUS_ZOMBIE
