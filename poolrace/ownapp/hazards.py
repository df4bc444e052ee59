"""
Modules that are known to misbehave on one of the pools, as data; pure and standard library only.

Only what the module's own documentation or tracker warns of is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """
    A module that an app imports and that does not go with a pool.

    Attributes:
        module: Its name.
        pool: The pool that it does not go with.
        warning: What can happen, and what to see to.
    """

    module: str
    pool: str
    warning: str


HAZARDS = (
    Hazard(module="matplotlib.pyplot", pool="threads",
           warning="keeps its figures in one global state; use matplotlib.figure.Figure in each job"),
    Hazard(module="gevent.monkey", pool="threads", warning="replaces threads by greenlets if it has patched them"),
    Hazard(module="eventlet", pool="threads", warning="replaces threads by greenlets if it has patched them"),
    Hazard(module="pdb", pool="threads", warning="stops the node, not a job"),
    Hazard(module="selenium", pool="threads", warning="a driver is for one thread; make one in each job"),
    Hazard(module="lxml.etree", pool="threads",
           warning="trees that go from one thread to another are copied or locked; parse where you use them"),
    Hazard(module="cv2", pool="threads", warning="runs threads of its own in each job: slots compete with them"),
    Hazard(module="torch", pool="prefork",
           warning="CUDA cannot be used in a forked child after it was used in the parent; load models in the child"),
    Hazard(module="tensorflow", pool="prefork", warning="sessions do not survive a fork; load models in the child"),
    Hazard(module="grpc", pool="prefork",
           warning="channels do not survive a fork; open them in worker_process_init or in the job"),
    Hazard(module="pymongo", pool="prefork",
           warning="a client that was opened before the fork can deadlock; open it in worker_process_init"),
    Hazard(module="confluent_kafka", pool="prefork",
           warning="clients do not survive a fork; open them in worker_process_init"),
    Hazard(module="sqlalchemy", pool="prefork",
           warning="connections of an engine that was used before the fork are shared; dispose of it in "
           "worker_process_init"),
    Hazard(module="psycopg", pool="prefork",
           warning="a connection that was opened before the fork is shared; open it in worker_process_init"),
    Hazard(module="psycopg2", pool="prefork",
           warning="a connection that was opened before the fork is shared; open it in worker_process_init"),
)  # fmt: skip


def hazards(pool: str, modules: Iterable[str]) -> list[Hazard]:
    """Those that a pool has with what was imported, in the order of the list."""
    imported = set(modules)
    return [hazard for hazard in HAZARDS if hazard.pool == pool and hazard.module in imported]
