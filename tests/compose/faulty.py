"""Tasks for the tests of faults: one that leaves marks of what it did, and one that takes memory without end."""

import os
import time
from pathlib import Path
from typing import Any

from celery import shared_task

STEP_BYTES = 32 << 20
MARKS = Path(os.environ.get("POOLRACE_DISK_DIR", "/tmp")) / "marks"
"""On a volume that both workers share: it tells what was done, also where a worker died before it could."""


def mark(word: str, job_id: str) -> None:
    descriptor = os.open(MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{word} {job_id}\n".encode())
    os.close(descriptor)


@shared_task(name="faulty.work", bind=True, ignore_result=True)
def work(self: Any, seconds: float) -> None:
    mark("began", self.request.id)
    time.sleep(seconds)
    mark("ended", self.request.id)


@shared_task(name="faulty.eat", ignore_result=True)
def eat() -> None:
    eaten = []
    while True:
        eaten.append(b"x" * STEP_BYTES)
        time.sleep(0.05)
