"""Ctrl-C and SIGTERM at any moment: one line, exit code 130, and nothing left but what was measured."""

import random
import signal
import time
from pathlib import Path

import pytest
from integration.commands import SMALL, load, poolrace

MOMENTS = 8
SPAN_S = 8.0
"""About what the small race takes; an interrupt after its end finds nothing to interrupt."""


def moments() -> list[tuple[float, signal.Signals]]:
    dice = random.Random(20261122)
    return [(round(dice.uniform(0.1, SPAN_S), 2), dice.choice([signal.SIGINT, signal.SIGTERM])) for _ in range(MOMENTS)]


@pytest.mark.parametrize(("after_s", "number"), moments())
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, after_s: float, number: signal.Signals) -> None:
    with poolrace(tmp_path, "race", *SMALL, "--out", str(tmp_path / "runs")) as command:
        time.sleep(after_s)
        command.descendants()  # takes note of them
        command.process.send_signal(number)
        code, _, err = command.finish()
        command.assert_nothing_left()
    # Before the command has taken over the signals, Python or the kernel ends it.
    early = code in {-signal.SIGTERM, -signal.SIGINT} and not list(tmp_path.glob("runs/*"))
    assert code in {0, 130} or early, err
    assert "Traceback" not in err or early
    for run in tmp_path.glob("runs/*"):
        expected = "complete" if code == 0 else "incomplete"
        assert load(run / "summary.json")["status"] == expected


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
