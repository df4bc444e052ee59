"""Jobs of streaq: `streaq run streaq_jobs:worker`, and `python streaq_jobs.py NUMBER` sends them."""

from __future__ import annotations

import asyncio
import os
import sys

from noting import note
from streaq import Worker

AT_ONCE = 500

worker = Worker(
    redis_url=os.environ["PEER_URL"],
    concurrency=int(os.environ.get("PEER_SLOTS", "8")),
    prefetch=int(os.environ.get("PEER_PREFETCH", "0")) or None,
)


@worker.task(ttl=0)
async def noop() -> None:
    """Do nothing."""
    note()


async def send(jobs: int) -> None:
    """Send jobs, many in a round trip, as its documentation advises."""
    async with worker:
        for first in range(0, jobs, AT_ONCE):
            await worker.enqueue_many([noop.enqueue() for _ in range(first, min(first + AT_ONCE, jobs))])


if __name__ == "__main__":
    asyncio.run(send(int(sys.argv[1])))
