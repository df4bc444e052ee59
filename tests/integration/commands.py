"""Runs the `poolrace` command as a user would, and sees what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from producer import deadlines

T = TypeVar("T")
MARK = "MARK_OF_A_POOLRACE_TEST"  # not POOLRACE_…, which a race keeps from its nodes
SMALL = ("--workload", "sleep", "--pairs", "2", "--duration", "0.3s", "--concurrency", "2")
PATIENCE_S = 180.0


@dataclass
class Command:
    """A `poolrace` that runs, in a session of its own and with a temporary folder of its own."""

    process: subprocess.Popen[str]
    mark: str
    temporary: Path
    seen: set[psutil.Process] = field(default_factory=set)

    def finish(self, patience_s: float = PATIENCE_S) -> tuple[int, str, str]:
        """Wait for its end: exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=patience_s)
        return self.process.returncode, out, err

    def descendants(self) -> list[psutil.Process]:
        """
        Every process that this command started and that still runs, however it was started.

        Known by a mark in the environment, or because it was once seen as a child: the broker writes its title over its
        environment.
        """
        with suppress(psutil.NoSuchProcess):
            self.seen.update(psutil.Process(self.process.pid).children(recursive=True))
        marked = [process for process in psutil.process_iter() if mark_of(process) == self.mark]
        alive = {process for process in [*marked, *self.seen] if process.is_running()}
        return [process for process in alive if process.pid != self.process.pid and status_of(process) != "zombie"]

    def node(self, name: str) -> psutil.Process:
        """The main process of a node, once it runs."""
        return until(lambda: next((p for p in self.descendants() if is_node(p, name)), None))

    def broker(self) -> psutil.Process:
        """The embedded broker, once it runs."""
        return until(lambda: next((p for p in self.descendants() if "valkey" in name_of(p)), None))

    def assert_nothing_left(self) -> None:
        """No process, and nothing in the temporary folder. The last of them may take a moment to go."""
        until(lambda: not self.descendants())
        until(lambda: not list(self.temporary.iterdir()))


def mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
        return None


def status_of(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return "zombie"


def name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; none of one that has ended meanwhile."""
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def is_node(process: psutil.Process, name: str) -> bool:
    try:
        parent = process.parent()
        return f"{name}@%h" in words_of(process) and parent is not None and f"{name}@%h" not in words_of(parent)
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], T]) -> T:
    """Wait until a condition holds, and return what it gave."""
    found = deadlines.until(condition, PATIENCE_S)
    assert found, f"{condition} did not come true in {PATIENCE_S:.0f} s"
    return found


@contextmanager
def poolrace(tmp_path: Path, *arguments: str, **environ: str) -> Iterator[Command]:
    """Start `poolrace` with a run folder and a temporary folder below `tmp_path`."""
    temporary = tmp_path / f"tmp-{uuid.uuid4().hex[:6]}"
    temporary.mkdir()
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("poolrace")), *arguments],
        env={**os.environ, MARK: mark, "TMPDIR": str(temporary), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    command = Command(process=process, mark=mark, temporary=temporary)
    try:
        yield command
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def race(tmp_path: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """A small race from beginning to end, that leaves nothing."""
    with poolrace(tmp_path, "race", *SMALL, "--out", str(tmp_path / "runs"), *arguments, **environ) as command:
        ended = command.finish()
        command.assert_nothing_left()
    return ended


def is_of_the_machine(problem: str) -> bool:
    """
    Check whether a problem is that the generator was late or could not hold its rate, or that others used the cores.

    A busy machine makes it so, which is told, rightly, and no fault of the program.
    """
    if any(fault in problem for fault in ("a job was lost", "a job ran twice")):
        return False
    machines = ("the generator was late", "others used the cores")
    return problem.startswith("The generator ") or any(reason in problem for reason in machines)


def assert_through(tmp_path: Path, code: int, err: str) -> None:
    """
    A race came to its end, and wrote one run.

    On a busy machine its generator may have been late, which makes the run invalid, rightly: no fault of the program.
    """
    problems = load(only_run(tmp_path) / "summary.json")["problems"]
    assert [problem for problem in problems if not is_of_the_machine(problem)] == []
    assert code == (4 if problems else 0), err


def only_run(tmp_path: Path) -> Path:
    """The one run directory that was written."""
    (run,) = (tmp_path / "runs").iterdir()
    return run


def load(path: Path) -> Any:
    return json.loads(path.read_text())
