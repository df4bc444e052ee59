"""The clock of a process can be set while it runs, and no other clock is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from producer.fleet.own_clock import OwnClock

if TYPE_CHECKING:
    from pathlib import Path

AN_HOUR_S, NEAR_S = 3600, 60
TELL = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


def test_it_is_ahead_as_far_as_it_is_set_and_back_when_it_is_set_back(tmp_path: Path) -> None:
    clock = OwnClock(tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-P", "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        env=clock.added_to(os.environ),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for ahead_s in (0, AN_HOUR_S, 0, -AN_HOUR_S):
            clock.set_ahead(ahead_s)
            process.stdin.write("\n")
            told, monotonic = map(float, process.stdout.readline().split())
            assert abs(told - time.time() - ahead_s) < NEAR_S
            assert abs(monotonic - time.monotonic()) < NEAR_S
        process.stdin.close()


def test_what_the_user_has_on_the_path_stays_there(tmp_path: Path) -> None:
    found = OwnClock(tmp_path / "clock").added_to({"PYTHONPATH": "/shop", "SITE": "x"})
    assert found == {"PYTHONPATH": f"{tmp_path / 'clock'}{os.pathsep}/shop", "SITE": "x"}
