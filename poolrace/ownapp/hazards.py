"""
Lists modules that are known to misbehave on some pools, as data; pure and standard library only.

A module is listed only if its own documentation or tracker warns of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolrace.pools import POOLS, SlotKind

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """
    A module that an app imports and that does not go with a kind of slot.

    Attributes:
        module: Its name.
        slot: The kind of slot that it does not go with.
        warning: What can happen, or what to do instead.
    """

    module: str
    slot: SlotKind
    warning: str


_ON_THREADS = {
    "matplotlib.pyplot": "keeps its figures in one global state; use matplotlib.figure.Figure in each job",
    "gevent.monkey": "replaces threads by greenlets if it has patched them",
    "eventlet": "replaces threads by greenlets if it has patched them",
    "pdb": "stops the node, not a job",
    "selenium": "a driver is for one thread; make one in each job",
    "lxml.etree": "trees that go from one thread to another are copied or locked; parse where you use them",
    "cv2": "runs threads of its own in each job: slots compete with them",
}

_IN_CHILD_PROCESSES = {
    "torch": "CUDA cannot be used in a forked child after it was used in the parent; load models in the child",
    "tensorflow": "sessions do not survive a fork; load models in the child",
    "grpc": "channels do not survive a fork; open them in worker_process_init or in the job",
    "pymongo": "a client that was opened before the fork can deadlock; open it in worker_process_init",
    "confluent_kafka": "clients do not survive a fork; open them in worker_process_init",
    "sqlalchemy": "connections of an engine that was used before the fork are shared; dispose of it in "
    "worker_process_init",
    "psycopg": "a connection that was opened before the fork is shared; open it in worker_process_init",
    "psycopg2": "a connection that was opened before the fork is shared; open it in worker_process_init",
}

HAZARDS = tuple(
    Hazard(module=module, slot=slot, warning=warning)
    for slot, warnings in ((SlotKind.THREAD, _ON_THREADS), (SlotKind.CHILD_PROCESS, _IN_CHILD_PROCESSES))
    for module, warning in warnings.items()
)


def hazards(pool: str, modules: Iterable[str]) -> list[Hazard]:
    """Return the hazards of a pool among the modules that were imported, in the order of the list."""
    slot = POOLS[pool].slot if pool in POOLS else None
    imported = set(modules)
    return [hazard for hazard in HAZARDS if hazard.slot is slot and hazard.module in imported]
