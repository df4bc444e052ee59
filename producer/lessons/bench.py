"""
What an experiment works with, in the interpreter that it is about: Celery nodes, bare processes, and the cores.

Everything that is started here ends with the experiment: nodes and counters end when their standard input closes,
however the experiment ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from producer.lessons.lesson import Python

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from celery import Celery

READY_S = 30.0
SEND_S = 0.005
"""More than it takes to send a job."""

JOB_S = 60.0
END_S = 10.0
EVERY_S = 0.01
START_S = 0.02
"""The time that a job has to begin before the node is pinged beside it."""

COUNTER = """
import sys, time
for line in sys.stdin:
    begin, until, count = time.monotonic(), time.thread_time() + float(line), 0
    while time.thread_time() < until:
        for _ in range(1000): count += 1
    print(begin, time.monotonic(), flush=True)
"""
"""A process that counts for the CPU time it is told, and says when it began and ended."""


START = """
import os, sys, time
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the node says goes to the log
import producer.lessons.jobs
from producer.lessons.bench import Bench
with Bench() as bench:
    began = time.perf_counter()
    bench.nodes(sys.argv[1], int(sys.argv[2]))
    print(time.perf_counter() - began, file=answer, flush=True)
"""
"""A process that starts a node, and says how long that took."""


class CannotTryError(RuntimeError):
    """An experiment that cannot be tried here; the message says why, and what would allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """
    A job that ran on a node.

    Attributes:
        value: What it returned.
        begin_s: When it began, by this machine's monotonic clock.
        end_s: When it ended.
        cpu_s: The CPU time of its thread meanwhile.
        slot: The process and the thread that ran it.
    """

    value: Any
    begin_s: float
    end_s: float
    cpu_s: float
    slot: str


@dataclass(slots=True)
class Nodes:
    """
    Nodes of one pool that take from one queue.

    Attributes:
        app: The app that sends to them.
        queue: Their queue.
        pids: Their main processes.
    """

    app: Celery
    queue: str
    pids: list[int] = field(default_factory=list)

    def run(self, *jobs: tuple[Any, ...]) -> list[Ran]:
        """
        Send jobs and wait for all of them.

        Args:
            jobs: The name of a task of `producer.lessons.jobs`, and its arguments.

        Returns:
            What became of each, in the order in which they were sent.
        """
        sent = [self.app.send_task(name, arguments, queue=self.queue) for name, *arguments in jobs]
        return [Ran(**each.get(timeout=JOB_S)) for each in sent]

    def finishes_though_terminated(self, seconds: float) -> bool:
        """Send a job that waits, terminate it while it runs, and return whether it finished all the same."""
        from celery.exceptions import TaskRevokedError

        sent = self.app.send_task("wait", (seconds,), queue=self.queue)
        time.sleep(seconds / 3)
        self.app.control.revoke(sent.id, terminate=True)
        try:
            sent.get(timeout=3 * seconds)
        except TaskRevokedError:
            return False
        return True

    def ping_s(self, *, beside: tuple[Any, ...] = ()) -> float:
        """Return how long the first node takes to answer a ping, in seconds; `beside` is a job that runs meanwhile."""
        sent = [self.app.send_task(beside[0], beside[1:], queue=self.queue)] if beside else []
        time.sleep(START_S if sent else 0)
        began = time.monotonic()
        self.app.control.ping(timeout=JOB_S, limit=1)
        took_s = time.monotonic() - began
        for each in sent:
            each.get(timeout=JOB_S)
        return took_s

    def memory_mib(self) -> float:
        """Return their memory: the PSS of every process, in MiB. Raises CannotTryError where the system tells none."""
        from poolrace.sampling import Sampler

        sizes = [Sampler(pid).sample().pss_bytes for pid in self.pids]
        if None in sizes:
            raise CannotTryError("This system does not report the PSS of a process; Linux does.")
        return sum(size for size in sizes if size is not None) / (1 << 20)


class Bench:
    """
    The tools of an experiment.

    Use it as a context manager: leaving it ends what it started.

    Attributes:
        folder: A folder for the experiment's files.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Bench:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="poolrace-")))
        self._counters = [self._stack.enter_context(_counter()) for _ in range(2)]
        return self

    def __exit__(self, *_: object) -> None:
        # All at once: each takes a second to end.
        for node in self._nodes:
            with suppress(BrokenPipeError):
                node.stdin.close()  # type: ignore[union-attr]
        until = time.monotonic() + END_S
        for node in self._nodes:
            try:
                node.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill_tree(node.pid)
                node.wait()
        self._stack.close()

    def free_cores(self, cpu_s: float = 0.05) -> float:
        """Return how many cores two processes get that only count: close to 2, unless others use the cores."""
        for counter in self._counters:
            print(cpu_s, file=counter.stdin, flush=True)
        times = [tuple(map(float, counter.stdout.readline().split())) for counter in self._counters]  # type: ignore[union-attr]
        return 2 * cpu_s / (max(end for _, end in times) - min(begin for begin, _ in times))

    def nodes(self, pool: str, slots: int, *, nodes: int = 1, one_core: bool = False) -> Nodes:
        """
        Start nodes, which end with this bench, and wait until every slot has run a job.

        Args:
            pool: Their pool.
            slots: The concurrency of each.
            nodes: Their number.
            one_core: Leave all of them a single core, as `cpus: 1` of a container does.

        Raises:
            CannotTryError: If they do not become ready.
        """
        from producer.lessons.jobs import app

        found = Nodes(app, f"poolrace.lesson.{uuid.uuid4().hex}")
        started = [_start_node(found.queue, number, pool, slots, one_core) for number in range(nodes)]
        self._nodes += started
        found.pids = [node.pid for node in started]
        _wait_for_every_slot(found, started, slots * nodes)
        return found


def start_s(pool: str, slots: int) -> float:
    """
    Return how long a node takes from its start until each slot has run a job, in seconds.

    A process of its own starts it: one that has imported Celery would fork more slowly from then on.

    Raises:
        CannotTryError: If it does not become ready.
    """
    command = [sys.executable, "-c", START, pool, str(slots)]
    # The nodes in it give up by themselves.
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise CannotTryError("The nodes did not start; their output is in the log of the lesson.")
    return float(ended.stdout)


def private_kib(process: str) -> float:
    """Return the memory that a process shares with no other, in KiB; NaN where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return sum(float(line.split()[1]) for line in lines if line.startswith("Private_"))


def this_python() -> Python:
    """Describe the interpreter that runs this."""
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    return Python(
        version="{}.{}.{}".format(*sys.version_info),
        free_threaded=free_threaded,
        gil=getattr(sys, "_is_gil_enabled", lambda: True)(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


@contextmanager
def _counter() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-S", "-c", COUNTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()  # type: ignore[union-attr]


def _start_node(queue: str, number: int, pool: str, slots: int, one_core: bool) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "celery", "-A", "producer.lessons.jobs", "worker", "-P", pool, "-c", str(slots),
        "-Q", queue, "-n", f"{pool}{number}-{queue[-8:]}@%h", "--without-gossip", "--without-mingle", "-l", "WARNING",
    ]  # fmt: skip
    environment = {**os.environ, "POOLRACE_LESSON_ONE_CORE": "1" if one_core else ""}
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)


def _kill_tree(pid: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for each in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _wait_for_every_slot(found: Nodes, children: Sequence[subprocess.Popen[bytes]], slots: int) -> None:
    """Wait until every slot has run a job, so that none is measured that has yet to start."""
    began, seen = time.monotonic(), set[str]()
    while len(seen) < slots:
        # Each waits until all are there: a pool of threads starts no new one while one is idle.
        sent = [found.app.send_task("wait", (EVERY_S + slots * SEND_S,), queue=found.queue) for _ in range(2 * slots)]
        for each in sent:
            while not each.ready():
                if any(child.poll() is not None for child in children) or time.monotonic() > began + READY_S:
                    raise CannotTryError("The nodes did not start; their output is in the log of the lesson.")
                time.sleep(EVERY_S)
            seen.add(each.get()["slot"])
