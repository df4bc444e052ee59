"""Processes that stay: found again by pid and birth, ended in order, and nothing else is touched."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from producer.deadlines import until
from producer.errors import FleetError
from producer.stack.daemons import Daemon, end, start

SLEEPER = "print('ready', flush=True); import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


@pytest.fixture
def begin(tmp_path):
    """Start Python programs that say a line when they are ready; ends what is left of them."""
    children = []
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a signal that is ignored here, a child ignores, too

    def begin(program):
        log = tmp_path / f"{len(children)}.log"
        child, daemon = start("sleeper", [sys.executable, "-c", program], log=log, env=dict(os.environ), cwd=tmp_path)
        children.append(child)
        assert until(log.read_text, 30.0)
        return daemon

    yield begin
    signal.signal(signal.SIGTERM, before)
    for child in children:
        child.process.kill()
        child.process.wait()


def test_it_runs_in_a_session_of_its_own_until_it_is_ended(begin):
    daemon = begin(SLEEPER)
    assert daemon.runs()
    assert os.getsid(daemon.pid) == daemon.pid
    assert end([daemon], 30.0, lambda _: None) is True
    assert not daemon.runs()


def test_one_that_does_not_end_is_killed_and_reported(begin):
    stubborn, other, gone = begin(STUBBORN), begin(SLEEPER), []
    assert end([stubborn, other], 0.3, gone.append) is False
    assert not stubborn.runs()
    assert not other.runs()
    assert gone == sorted(gone)
    assert gone


def test_its_children_go_with_it(begin, tmp_path):
    parent = begin(
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); import time; time.sleep(600)"
    )
    (child,) = psutil.Process(parent.pid).children()
    assert end([parent], 30.0, lambda _: None) is True
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_has_only_got_the_number_is_left_alone():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        assert end([Daemon(pid=stranger.pid, born="another boot:1")], 1.0, lambda _: None) is True
        assert stranger.poll() is None
        stranger.kill()


def test_a_program_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(FleetError, match="The broker cannot be started: "):
        start("broker", [str(tmp_path / "none")], log=tmp_path / "log", env={}, cwd=tmp_path)
