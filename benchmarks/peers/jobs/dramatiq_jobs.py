"""Jobs of dramatiq: `dramatiq dramatiq_jobs`, and `python dramatiq_jobs.py NUMBER` sends them."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from noting import note

dramatiq.set_broker(RedisBroker(url=os.environ["PEER_URL"]))


@dramatiq.actor
def noop() -> None:
    """Do nothing."""
    note()


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        noop.send()
