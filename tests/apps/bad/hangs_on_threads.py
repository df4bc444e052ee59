"""An app whose signal handler shares an event loop's lock between slots: on threads no job ever ends."""

import asyncio
import threading

from celery import Celery
from celery.signals import task_postrun

app = Celery("hanging")
told = asyncio.Lock()


@task_postrun.connect
def tell(**_):
    """Tell somebody, one after the other."""
    asyncio.run(tell_in_turn())


async def tell_in_turn():
    """Wait for the lock; on a thread that is not the main one, for good."""
    if threading.current_thread() is not threading.main_thread():
        await asyncio.Event().wait()
    async with told:
        await asyncio.sleep(0)


@app.task
def work():
    """Work for a moment."""
