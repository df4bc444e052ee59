"""Jobs of arq: `arq arq_jobs.WorkerSettings`, and `python arq_jobs.py NUMBER` sends them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings
from noting import note

SENDERS = 16


async def noop(_context: dict[str, Any]) -> None:
    """Do nothing."""
    note()


class WorkerSettings:
    """What arq's command reads."""

    functions: ClassVar = [noop]
    redis_settings = RedisSettings.from_dsn(os.environ["PEER_URL"])
    max_jobs = int(os.environ.get("PEER_SLOTS", "8"))
    poll_delay = float(os.environ.get("PEER_POLL_S", "0.5"))
    keep_result = 0


async def send(jobs: int) -> None:
    """Send jobs, a few at once."""
    pool = await create_pool(WorkerSettings.redis_settings)
    numbers = iter(range(jobs))

    async def some() -> None:
        for _ in numbers:
            await pool.enqueue_job("noop")

    await asyncio.gather(*(some() for _ in range(SENDERS)))
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(send(int(sys.argv[1])))
