"""Jobs sent to the stack and followed through a fault: their fates, and what the workers really did."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subprocess import Popen

FOLLOW = Path(__file__).with_name("follow_jobs.py").read_text()
LANES = ("prefork", "threads")
POPPED = 1
"""Stock kombu takes a message from Redis with one command and notes with the next that a worker has it. A worker killed
between the two loses that message, in either ack mode, and so does one whose broker goes away between them: it consumes
one at a time, so one at most."""
KILL = """
import os
for entry in filter(str.isdigit, os.listdir("/proc")):
    try:
        parent = open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()[1]
    except FileNotFoundError:
        continue
    if parent == "1":
        os.kill(int(entry), 9)
"""
"""
SIGKILL to what the init of a container runs, as the kernel does it: Docker starts the container again. It would not
after `docker kill`, which it takes for a wish to stop.
"""

TRANSPORTS = """
import json, secrets
from celery import Celery
from producer.cli._broker import broker_from_environment
from producer.fleet.control import Control
control, run_id = Control(Celery(broker=broker_from_environment())), secrets.token_hex(8)
told = control.hello(run_id, (), 3)
control.goodbye(run_id, sorted(told))
print(json.dumps({hello["pool"]: hello["transport"] for hello in told.values()}))
"""


class Followed:
    """A number of the same jobs on some lanes."""

    def __init__(self, stack: Any, lanes: tuple[str, ...], jobs: int, seconds: float, **wanted: Any) -> None:
        self._stack = stack
        self.lanes = lanes
        order = {"queues": lanes, "jobs": jobs, "task": "faulty.work", "args": [seconds], "quiet_s": seconds + 3}
        self._command: Popen[str] = stack.begin_python(FOLLOW, json.dumps({**order, **wanted}))
        self._run_id = self.until("run ").removeprefix("run ")

    def until(self, said: str) -> str:
        """Wait until the follower says something that begins so."""
        heard = []
        for line in self._command.stderr or ():
            heard.append(line)
            if line.startswith(said):
                return line.strip()
        raise AssertionError(f"it never said {said!r}: {''.join(heard)}")

    def finish(self) -> dict[str, Any]:
        """By lane: `tally`, and by fate the jobs `named`. Where it only sends: what another needs as `sent`."""
        out, err = self._command.communicate(timeout=200)
        assert self._command.returncode == 0, err
        return dict(json.loads(out))

    def marks(self, lane: str) -> dict[str, Counter[int]]:
        """How many times each job began and ended in truth; by what the jobs themselves wrote down."""
        found: dict[str, Counter[int]] = {"began": Counter(), "ended": Counter()}
        text = self._stack.compose("exec", "-T", f"worker-{lane}", "cat", "/var/lib/poolrace/disk/marks").stdout
        for word, job_id in map(str.split, text.splitlines()):
            run_id, trial, seq = job_id.split("-")
            if (run_id, trial) == (self._run_id, str(self.lanes.index(lane))):
                found[word][int(seq)] += 1
        return found


def transports(stack: Any) -> dict[str, str]:
    """By pool, the transport that its workers say they run."""
    return dict(json.loads(stack.python(TRANSPORTS)))


def kill(stack: Any, *services: str) -> None:
    """SIGKILL to what runs in the containers of services, at about the same time."""
    begun = [stack.begin("exec", "-T", service, "python", "-c", KILL) for service in services]
    for each in begun:
        each.communicate(timeout=60)


def repeated(counts: Counter[int]) -> list[int]:
    return sorted(seq for seq, count in counts.items() if count > 1)
