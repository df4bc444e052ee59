"""
A publisher that sends a batch of jobs of the demonstration, in a process of its own, so that a drill may kill it.

`python -m producer.measure.batch`, with a `Batch` as JSON in its environment, since the broker's URL has a password.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from celery import Celery

from poolrace.outbox import Outbox
from producer import interrupts
from producer.deadlines import until
from producer.errors import FleetError
from producer.measure.drilled import HARMLESS, OUTBOX_TIMES, QUEUE, Sender

if TYPE_CHECKING:
    from pathlib import Path

    from producer.fleet.processes import Child, Processes

END_S = 30.0
MODULE, VARIABLE = "producer.measure.batch", "POOLRACE_BATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    A batch of jobs.

    Attributes:
        url: The broker's URL.
        outbox: The place of the sender's outbox; empty if it has none.
        jobs: The identities of the jobs, in the order in which they are sent.
        job_s: How long each job waits, in seconds.
        every_s: The time from one job to the next.
        queue: The queue that they go to.
        task: Their task, which waits.
    """

    url: str
    outbox: str
    jobs: list[str]
    job_s: float
    every_s: float
    queue: str = QUEUE
    task: str = HARMLESS

    def send(self) -> None:
        """Send all of them, each when it is due."""
        app = Celery("drill", broker=self.url, set_as_current=False)
        sender = Sender(app, Outbox(app, self.outbox, most_times=OUTBOX_TIMES) if self.outbox else None, self.queue)
        for job in self.jobs:
            sender.send_as(job, self.task, self.job_s)
            time.sleep(self.every_s)


class Publisher:
    """
    A process that sends a batch.

    Attributes:
        batch: The batch.

    Args:
        processes: Starts the process, and ends it.
        sent: The batch.
        log: What it prints.
    """

    def __init__(self, processes: Processes, sent: Batch, log: Path) -> None:
        self.batch, self._processes, self._log = sent, processes, log
        self._child = self._start()

    def kill(self) -> None:
        """Kill it."""
        self._child.process.kill()
        self._processes.stop(self._child)

    def run_again(self) -> None:
        """
        Start it again with the same batch, and wait for its end.

        Raises:
            FleetError: If it fails.
        """
        self._child = self._start()
        if not until(lambda: self._child.process.poll() is not None, END_S) or self._child.process.returncode:
            raise FleetError(f"The publisher did not send its batch. Its log:\n{self._child.tail()}")

    def _start(self) -> Child:
        words = [sys.executable, "-P", "-m", MODULE]
        told = {VARIABLE: msgspec.json.encode(self.batch).decode()}
        return self._processes.start("publisher", words, env={**os.environ, **told}, log=self._log)


def main() -> None:
    """Send the batch of the environment."""
    interrupts.install()
    msgspec.json.decode(os.environ[VARIABLE], type=Batch).send()


if __name__ == "__main__":
    main()
