"""Jobs of taskiq: `taskiq worker taskiq_jobs:broker`, and `python taskiq_jobs.py NUMBER` sends them."""

from __future__ import annotations

import asyncio
import os
import sys

from noting import note
from taskiq_redis import ListQueueBroker, RedisStreamBroker

KINDS = {"list": ListQueueBroker, "stream": RedisStreamBroker}
SENDERS = 16

broker = KINDS[os.environ.get("PEER_KIND", "list")](url=os.environ["PEER_URL"])


@broker.task
async def noop() -> None:
    """Do nothing."""
    note()


async def send(jobs: int) -> None:
    """Send jobs, a few at once."""
    await broker.startup()
    numbers = iter(range(jobs))

    async def some() -> None:
        for _ in numbers:
            await noop.kiq()

    await asyncio.gather(*(some() for _ in range(SENDERS)))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(send(int(sys.argv[1])))
