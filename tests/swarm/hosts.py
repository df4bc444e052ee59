"""Three hosts of a swarm, what runs on them, and what may be done to them."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from poolrace.effects import Ledger, Note
from producer import deadlines

ROOT = Path(__file__).parents[2]
LOCAL_SWARM = "LOCAL_SWARM"
HOSTS = ("node1", "node2", "node3")
LANES = ("prefork", "threads")
SLOTS = 2
PREFETCH = 4
PATIENCE_S = 120
NOTED = "tests/swarm/noted.yml"


class Swarm:
    """
    The stack on a swarm.

    Attributes:
        secrets: The folder of its passwords.
    """

    def __init__(self, secrets: Path) -> None:
        self.secrets = secrets
        self._tool = os.environ[LOCAL_SWARM]
        self._environ = {
            **os.environ,
            "POOLRACE_SECRETS_DIR": str(secrets),
            "SWARM_FILES": NOTED,
            "POOLRACE_PROFILE": "safe",
            "POOLRACE_CONCURRENCY": str(SLOTS),
            "POOLRACE_PREFETCH": str(PREFETCH),
            "WORKER_CPUS": "1",
        }

    def script(self, name: str, *words: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts of deploy/swarm."""
        ended = subprocess.run(
            [ROOT / "deploy/swarm" / name, *words], cwd=ROOT, env={**self._environ, **settings}, capture_output=True,
            text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not check or ended.returncode == 0, f"{name} {words}: {ended.stdout}\n{ended.stderr}"
        return ended

    def poolrace(self, *words: str, check: bool = True) -> str:
        """Run a command of Poolrace in the stack, and return what it printed."""
        return self.script("poolrace", *words, check=check).stdout

    def fault(self, what: str, host: str) -> None:
        """Cut a host off, heal it, kill it, or start it."""
        subprocess.run([self._tool, what, host], check=True, capture_output=True, timeout=60)

    @cache  # noqa: B019 - one swarm for all tests
    def engine(self, host: str) -> str:
        """The address of the engine of a host."""
        told = subprocess.run([self._tool, "env", host], check=True, capture_output=True, text=True).stdout
        return told.strip().partition("=")[2]

    def docker(self, *words: str, host: str = "node1", given: str | None = None, errors: bool = False) -> str:
        """What `docker` says to a host's engine, with errors if asked; the first host manages the swarm."""
        ended = subprocess.run(
            ["docker", "-H", self.engine(host), *words], input=given, capture_output=True, text=True, timeout=200,
            check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"{host}: docker {' '.join(words)}: {ended.stdout}\n{ended.stderr}"
        return (ended.stdout + (ended.stderr if errors else "")).strip()

    def begin_python(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Run Python in the producer's container, which knows the broker, without waiting for its end."""
        container = self.docker("ps", "-q", "--filter", "label=com.docker.swarm.service.name=poolrace_producer")
        return subprocess.Popen(
            ["docker", "-H", self.engine("node1"), "exec", "-i", container, "python", "-c", code, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def python(self, code: str, *arguments: str) -> str:
        """Run Python there, and return what it printed."""
        command = self.begin_python(code, *arguments)
        out, err = command.communicate(timeout=60)
        assert command.returncode == 0, err
        return out

    def tasks(self, lane: str) -> list[tuple[str, str]]:
        """Host and container of each worker of a lane that should run and does."""
        told = self.docker(
            "service", "ps", f"poolrace_worker-{lane}", "--filter", "desired-state=running", "--format",
            "{{.ID}} {{.Node}} {{.CurrentState}}",
        )  # fmt: skip
        rows = [line.split()[:3] for line in told.splitlines()]
        running = [(task, host) for task, host, state in rows if state == "Running"]
        return [(host, self._container(task)) for task, host in running]

    def _container(self, task: str) -> str:
        template = "{{.Status.ContainerStatus.ContainerID}}"
        return self.docker("inspect", "--type", "task", "--format", template, task)[:12]

    def spread(self) -> bool:
        """Whether each host runs one worker of each lane."""
        return all(sorted(host for host, _ in self.tasks(lane)) == list(HOSTS) for lane in LANES)

    def spread_again(self) -> None:
        """Have one worker of each lane on each host: Swarm moves none by itself to a host that has come back."""
        if not self.spread():
            self.scale(1)
            self.scale(len(HOSTS))
        until(self.spread)

    def all_workers(self) -> set[str]:
        """The containers of workers on all hosts."""
        return {container for host in HOSTS for container in self.workers(host)}

    def scale_publishers(self, number: int) -> None:
        """Have so many publishers."""
        self.docker("service", "scale", "--detach", f"poolrace_publisher={number}")
        until(lambda: self.docker("service", "ls", "--filter", "name=poolrace_publisher", "--format", "{{.Replicas}}")
              == f"{number}/{number}")  # fmt: skip

    def shares(self, run_id: str) -> dict[str, set[str]]:
        """By publisher, which shares of a run's orders it says it had, such as `1 of 3`."""
        found: dict[str, set[str]] = {}
        line = re.compile(rf"poolrace_publisher\.(\d+)\.\w+@(\S+) +\| \d+ jobs of run {run_id}, (.*)")
        for slot, host, share in line.findall(self.docker("service", "logs", "poolrace_publisher", errors=True)):
            found.setdefault(f"{host}-{slot}", set()).add(share)
        return found

    def manifest(self, directory: str) -> Any:
        """The manifest of a run."""
        code = "import pathlib, sys; print(pathlib.Path('runs', sys.argv[1], 'manifest.json').read_text())"
        return json.loads(self.python(code, directory))

    def images(self) -> dict[str, str]:
        """The image of the workers of each lane."""
        template = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
        return {
            lane: self.docker("service", "inspect", "--format", template, f"poolrace_worker-{lane}") for lane in LANES
        }

    def scale(self, number: int) -> None:
        """Have so many workers of each lane."""
        self.docker("service", "scale", "--detach", *(f"poolrace_worker-{lane}={number}" for lane in LANES))
        until(lambda: all(len(self.tasks(lane)) == number for lane in LANES))

    def workers(self, host: str) -> list[str]:
        """The containers of workers that run on a host, also those that should not any more."""
        filters = [word for lane in LANES for word in ("--filter", f"name=poolrace_worker-{lane}")]
        return self.docker("ps", "-q", *filters, host=host).split()

    def status(self, host: str) -> str:
        """What the manager says of a host: ready or down."""
        return self.docker("node", "inspect", "--format", "{{.Status.State}}", host)

    @cache  # noqa: B019 - one swarm for all tests
    def ledger(self, host: str) -> Ledger:
        """The ledger on the disk of a host. It is there to be read even while the host is cut off or dead."""
        folder = self.docker("volume", "inspect", "--format", "{{.Mountpoint}}", "poolrace_disk", host=host)
        return Ledger(Path(folder) / "effects")

    def notes(self, name: str) -> list[Note]:
        """The notes of all hosts about jobs whose name begins so."""
        return [note for host in HOSTS for note in self.ledger(host).notes() if note.job.startswith(name)]

    def left(self) -> list[str]:
        """Networks and engines of this swarm that are still there."""
        namespaces = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
        engines = [self.engine(host).removeprefix("unix://") for host in HOSTS]
        left = [line.split()[0] for line in namespaces.splitlines() if line.startswith("swarm-")]
        return left + [path for path in engines if Path(path).exists()]


def until(condition: Any, patience_s: float = PATIENCE_S, every_s: float = 0.3) -> Any:
    """Wait until a condition gives something true."""
    found = deadlines.until(condition, patience_s, every_s=every_s)
    assert found, "it did not come true in time"
    return found
