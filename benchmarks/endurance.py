"""
Whether the generator's memory stays as it is: what the processes of a `poolrace load` hold, late in a long load against
early in it. The nodes are not counted; the publisher is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from benchmarks.figures import Figure, Promise
from producer.errors import FleetError, InvalidRunError
from producer.report.formats import mebibytes

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE_PER_S = 100
WARM_SHARE = 0.1
SHARE = 0.2
"""Early and late are this part of the load's time, after the first tenth of it and at its end."""

PROMISE = Promise(most=1.1)
LOOK_S = 1.0
PATIENCE_S = 120.0


def measure(*, duration_s: float = 600.0) -> list[Figure]:
    """One load on one lane of jobs that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        seen = _hold(duration_s, Path(folder))
    early, late = _part(seen, WARM_SHARE, duration_s), _part(seen, 1 - SHARE, duration_s)
    name = f"memory of the generator at the end of {duration_s:.0f} s / at their beginning"
    return [Figure.of(name, [(late, early)], mebibytes, PROMISE)]


def _hold(duration_s: float, folder: Path) -> list[tuple[float, int]]:
    """Memory of the generator's processes by second of the load."""
    command = [
        sys.executable, "-c", "from producer.__main__ import main; main()", "load", "--rate", f"{RATE_PER_S}/s",
        "--duration", f"{duration_s:g}s", "--mix", "noop", "--lane", "threads:4", "--out", str(folder), "--json",
    ]  # fmt: skip
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    seen: list[tuple[float, int]] = []
    began_s, deadline_s = None, time.monotonic() + duration_s + PATIENCE_S
    while process.poll() is None:
        if time.monotonic() > deadline_s:
            process.terminate()
        if began_s is None and list(folder.glob("*/records/00001-*")):
            began_s = time.monotonic()  # the warm-up is through
        if began_s is not None:
            seen.append((time.monotonic() - began_s, _memory_bytes(process.pid)))
        time.sleep(LOOK_S)
    # A busy machine makes the generator late, which is told and changes nothing about its memory.
    if process.returncode not in {0, InvalidRunError.exit_code}:
        raise FleetError(
            f"The load ended with exit code {process.returncode}:\n{(folder / 'said').read_text()[-2000:]}"
        )
    return seen


def _memory_bytes(pid: int) -> int:
    """Unique memory of the command and its publishers; broker, guard and nodes are not theirs."""
    try:
        command = psutil.Process(pid)
        ours = [command, *(child for child in command.children() if "multiprocessing" in " ".join(child.cmdline()))]
        return sum(process.memory_full_info().uss for process in ours)
    except psutil.NoSuchProcess:
        return 0


def _part(seen: Sequence[tuple[float, int]], begin: float, duration_s: float) -> float:
    found = [size for at_s, size in seen if begin * duration_s <= at_s < (begin + SHARE) * duration_s and size]
    if not found:
        raise FleetError("The load was over before its memory could be seen twice. Measure for longer.")
    return median(found)
