"""
Processes that outlive the command that started them, found again by a later one.

A pid alone does not tell a process: the kernel gives it to another one in time. Noted with it is when it was born, and
nothing is ever sent to a process that was born at another time. No guard ends these: they are meant to stay.
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from producer.errors import FleetError
from producer.fleet.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOK_EVERY_S = 0.05
STATE, STARTED = 0, 19
"""Places in /proc/PID/stat, counted from behind the program's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """
    A process that was started, as it is noted.

    Attributes:
        pid: Its process id, which is also that of its session.
        born: What no other process with this pid has.
    """

    pid: int
    born: str

    def runs(self) -> bool:
        """Whether this very process still runs."""
        return birth(self.pid) == self.born

    def send(self, number: int) -> None:
        """Send a signal to this very process, if it still runs."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if self.runs():
                process.send_signal(number)

    def family(self) -> list[psutil.Process]:
        """Its children, and theirs."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if self.runs():
                return process.children(recursive=True)
        return []


def birth(pid: int) -> str | None:
    """When a process was born, as text that is the same whenever it is asked for; None if there is no such process."""
    try:
        if not Path("/proc/self/stat").exists():
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
        # Not psutil's time of creation: it moves when the clock is set. Ticks since the start of the kernel do not.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, psutil.NoSuchProcess):
        return None
    return None if stat[STATE] in "ZX" else f"{boot}:{stat[STARTED]}"


def start(name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> tuple[Child, Daemon]:
    """
    Start a process in a session of its own, that neither Ctrl-C nor the end of this one reaches.

    Raises:
        FleetError: If the program cannot be started.
    """
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd,
                start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise FleetError(f"The {name} cannot be started: {error}.") from error
    child = Child(name=name, process=process, log=log)
    # One that is gone already has no birth; its end is told by who waits for it.
    return child, Daemon(pid=process.pid, born=birth(process.pid) or "")


def end(daemons: Sequence[Daemon], patience_s: float, waiting: Callable[[float], None]) -> bool:
    """
    End processes together: SIGTERM, patience, and SIGKILL for what is left of them and their children.

    Only they get the SIGTERM: a Celery node ends its own pool, and does so in order.

    Args:
        daemons: What to end.
        patience_s: How long they may take.
        waiting: Called again and again with the seconds that have gone by.

    Returns:
        Whether all ended by themselves.
    """
    families = [process for daemon in daemons for process in daemon.family()]
    began = time.monotonic()
    for daemon in daemons:
        daemon.send(signal.SIGTERM)
    while any(daemon.runs() for daemon in daemons) and time.monotonic() - began < patience_s:
        waiting(time.monotonic() - began)
        time.sleep(LOOK_EVERY_S)
    in_order = not any(daemon.runs() for daemon in daemons)
    families += [process for daemon in daemons for process in daemon.family()]
    for daemon in daemons:
        daemon.send(signal.SIGKILL)
    _end_rest(families)
    while any(daemon.runs() for daemon in daemons):
        time.sleep(LOOK_EVERY_S)
    return in_order


def _end_rest(processes: Sequence[psutil.Process]) -> None:
    """Children whose parent has gone: they end by themselves or are ended."""
    _, left = psutil.wait_procs(processes, timeout=1.0)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
