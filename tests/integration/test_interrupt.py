"""Ctrl-C and SIGTERM at any moment: one line, exit code 130, and nothing left but what was measured."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from integration.commands import SMALL, Command, assert_through, load, poolrace

from producer.rundir.reader import read_run

MOMENTS = 8
SPAN_S = 8.0
"""About what the small race takes; an interrupt after its end finds nothing to interrupt."""


def moments() -> list[tuple[float, str]]:
    dice = random.Random(20261122)
    return [(round(dice.uniform(0.1, SPAN_S), 2), dice.choice(["Ctrl-C", "SIGINT", "SIGTERM"])) for _ in range(MOMENTS)]


def interrupt(command: Command, how: str) -> None:
    """Ctrl-C on a terminal reaches all processes of the session's foreground; a signal reaches one."""
    if how == "Ctrl-C":
        os.killpg(command.process.pid, signal.SIGINT)
    else:
        command.process.send_signal(signal.Signals[how])


@pytest.mark.heavy
@pytest.mark.parametrize(("after_s", "how"), moments())
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, after_s: float, how: str) -> None:
    with poolrace(tmp_path, "race", *SMALL, "--out", str(tmp_path / "runs")) as command:
        time.sleep(after_s)
        command.descendants()  # takes note of them
        interrupt(command, how)
        code, _, err = command.finish()
        command.assert_nothing_left()
    # Before the command has taken over the signals, Python or the kernel ends it.
    early = code in {-signal.SIGTERM, -signal.SIGINT} and not list(tmp_path.glob("runs/*"))
    assert "Traceback" not in err or early
    if code in {0, 4}:  # it was through
        assert_through(tmp_path, code, err)
        return
    assert code == 130 or early, err
    for run in tmp_path.glob("runs/*"):
        # One that came when all was measured finds the race complete.
        assert load(run / "manifest.json")["status"] in {"incomplete", "complete"}
        assert read_run(run).trials or any((run / "logs").iterdir())


def test_a_second_ctrl_c_does_not_disturb_the_ending(tmp_path: Path) -> None:
    with poolrace(tmp_path, "race", *SMALL, "--pairs", "100", "--out", str(tmp_path / "runs")) as command:
        command.node("threads")
        for _ in range(3):
            command.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code == 130
    assert err.splitlines()[-1] == "poolrace: Interrupted."
