"""
The abilities and limits of each of Celery's pools, as data.

Pure and standard library only. Checked against the source of celery 5.7.0 and billiard 4.3.2 and, where only a run can
show it (autoscale, terminate, cold shutdown, crashes), by running a node on each pool.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownPoolError(ValueError):
    """A pool that does not exist, or that is not raced. The message names the pools that are allowed."""


class Effect(StrEnum):
    """The effect of a feature on a pool."""

    WORKS = "works"
    IGNORED = "ignored silently"
    ERROR = "error"
    ABSENT = "n/a"


class SlotKind(StrEnum):
    """The kind of one unit of a pool's concurrency."""

    CHILD_PROCESS = "a child process"
    THREAD = "a thread"
    MAIN_THREAD = "the node's main thread"
    GREENLET = "a greenlet"


class Feature(StrEnum):
    """A feature in which the pools differ."""

    HARD_TIME_LIMIT = "hard time limit"
    SOFT_TIME_LIMIT = "soft time limit"
    MAX_TASKS = "max-tasks-per-child"
    MAX_MEMORY = "max-memory-per-child"
    TERMINATE = "revoke with terminate"
    AUTOSCALE = "autoscale"
    RESIZE = "pool grow and shrink"
    RESTART = "pool restart"
    START_METHOD = "start method"
    ISOLATION = "crash isolation"
    PARALLELISM = "CPU parallelism"
    MEMORY = "memory"
    COLD_SHUTDOWN = "cold shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """
    One feature on one pool.

    Attributes:
        effect: Its effect there.
        meaning: The consequence for a job or a node, in one sentence.
        source: A file and a name in celery or billiard, e.g. `celery/concurrency/thread.py TaskPool.on_apply`; empty if
            it follows from the operating system or the interpreter.
    """

    effect: Effect
    meaning: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """
    One way in which a node runs its jobs.

    Attributes:
        name: The name that `celery worker --pool` takes.
        module: The module of Celery that has its class.
        slot: The kind of one unit of its concurrency.
        is_default: Whether a race that names no lanes has one of it, and the stack a worker.
        traits: Every feature.
        package: The package that it needs besides Celery; empty for none.
        gives_up: The losses of a team that chooses it, the gravest first, each short enough for a line.
    """

    name: str
    module: str
    slot: SlotKind
    is_default: bool
    traits: Mapping[Feature, Trait]
    gives_up: tuple[str, ...]
    package: str = ""

    @property
    def has_children(self) -> bool:
        """True if its jobs run in child processes, forked from the node's main process."""
        return self.slot is SlotKind.CHILD_PROCESS

    def offers(self, feature: Feature) -> bool:
        """Check whether a feature works on it."""
        return self.traits[feature].effect is Effect.WORKS

    @property
    def has_one_slot(self) -> bool:
        """True if a node runs one job at a time, whatever its concurrency."""
        return self.slot is SlotKind.MAIN_THREAD

    @property
    def has_thread_of_its_own(self) -> bool:
        """True if no other job runs in a job's thread while it runs, so that the thread's CPU time is the job's."""
        return self.slot is not SlotKind.GREENLET

    @property
    def shares_memory(self) -> bool:
        """True if all its jobs run in one process, and so share its globals, caches and leaks."""
        return not self.has_children

    @property
    def has_parallel_python(self) -> bool:
        """True if pure Python of several jobs runs on several cores, on an interpreter with a GIL."""
        return self.offers(Feature.PARALLELISM)


@dataclass(frozen=True, slots=True, kw_only=True)
class InertSetting:
    """
    A setting that somebody changed and that has no effect on a pool, or fails there.

    Attributes:
        setting: Its name in Celery's configuration; `autoscale` for the worker's option.
        value: Its value.
        consequence: A sentence with both and what happens instead.
    """

    setting: str
    value: object
    consequence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """
    A rule that a setting is inert on some pools.

    Attributes:
        setting: Its name.
        pools: The pools where it is inert.
        harmless: The values that ask for nothing that the pool could deny.
        consequence: The effect that it has instead, as the end of a sentence that begins with the setting.
        unless: Another setting that gives it its effect.
    """

    setting: str
    pools: tuple[str, ...]
    harmless: tuple[object, ...]
    consequence: str
    unless: str = ""

    def denies(self, pool: str, conf: Mapping[str, object]) -> bool:
        """Check whether a configuration asks a pool for something that the pool does not do."""
        if pool not in self.pools or (self.unless and conf.get(self.unless)):
            return False
        value = conf.get(self.setting)
        return value is not None and value not in self.harmless


_NO_RESIZE = Trait(
    effect=Effect.ERROR,
    meaning="The reply to pool_grow and pool_shrink is an AttributeError: the pool has neither.",
    source="celery/worker/control.py pool_grow",
)
_NO_RESTART = Trait(
    effect=Effect.IGNORED,
    meaning="The reply to pool_restart is 'reload started', and nothing is restarted.",
    source="celery/worker/worker.py WorkController.reload",
)
_NO_MAX_TASKS = Trait(
    effect=Effect.IGNORED,
    meaning="The option is stored and never read: nothing is ever replaced.",
    source="celery/concurrency/base.py BasePool.__init__",
)
_NO_MAX_MEMORY = Trait(
    effect=Effect.IGNORED,
    meaning="The option is stored and never read: what jobs leak stays until the node is restarted.",
    source="celery/concurrency/base.py BasePool.__init__",
)

_NO_ISOLATION = Trait(
    effect=Effect.ABSENT,
    meaning="One process: os._exit, a segfault or the OOM killer ends the node and every job it runs.",
)
_NO_START_METHOD = Trait(
    effect=Effect.IGNORED,
    meaning="No process is started, so worker_pool_start_method has nothing to decide.",
    source="celery/concurrency/base.py BasePool.__init__",
)

_PREFORK = Pool(
    name="prefork",
    module="celery.concurrency.prefork",
    slot=SlotKind.CHILD_PROCESS,
    is_default=True,
    traits=MappingProxyType(
        {
            Feature.HARD_TIME_LIMIT: Trait(
                effect=Effect.WORKS,
                meaning="The child gets SIGTERM, 0.1 s later SIGKILL, and is replaced; the job fails.",
                source="billiard/pool.py TimeoutHandler.on_hard_timeout",
            ),
            Feature.SOFT_TIME_LIMIT: Trait(
                effect=Effect.WORKS,
                meaning="SoftTimeLimitExceeded is raised in the job, which may clean up.",
                source="billiard/pool.py TimeoutHandler.on_soft_timeout",
            ),
            Feature.MAX_TASKS: Trait(
                effect=Effect.WORKS,
                meaning="A child is replaced after that many jobs.",
                source="billiard/pool.py Worker.workloop",
            ),
            Feature.MAX_MEMORY: Trait(
                effect=Effect.WORKS,
                meaning="A child that is larger after a job is replaced; while a job runs nothing limits it.",
                source="billiard/pool.py Worker.workloop",
            ),
            Feature.TERMINATE: Trait(
                effect=Effect.WORKS,
                meaning="The child is killed and replaced; the job ends as revoked.",
                source="celery/worker/request.py Request.terminate",
            ),
            Feature.AUTOSCALE: Trait(
                effect=Effect.WORKS,
                meaning="Children are added while jobs wait and removed after 30 s without need.",
                source="celery/worker/autoscale.py Autoscaler.maybe_scale",
            ),
            Feature.RESIZE: Trait(
                effect=Effect.WORKS,
                meaning="pool_grow adds children; pool_shrink removes idle ones and refuses while all are busy.",
                source="billiard/pool.py Pool.shrink",
            ),
            Feature.RESTART: Trait(
                effect=Effect.WORKS,
                meaning="Children are replaced, if worker_pool_restarts is set.",
                source="celery/concurrency/prefork.py TaskPool.restart",
            ),
            Feature.START_METHOD: Trait(
                effect=Effect.WORKS,
                meaning="A child is a copy of the node (fork), or a new interpreter that imports the tasks (spawn).",
                source="celery/concurrency/prefork.py TaskPool.on_start",
            ),
            Feature.ISOLATION: Trait(
                effect=Effect.WORKS,
                meaning="os._exit, a segfault or the OOM killer ends one child and its job; all other jobs run on.",
                source="celery/worker/request.py Request.on_failure",
            ),
            Feature.PARALLELISM: Trait(
                effect=Effect.WORKS,
                meaning="Every child has an interpreter, so pure Python uses as many cores as there are children.",
            ),
            Feature.MEMORY: Trait(
                effect=Effect.WORKS,
                meaning="Every slot is a process: pages are shared after the fork until something writes to them.",
            ),
            Feature.COLD_SHUTDOWN: Trait(
                effect=Effect.WORKS,
                meaning="Running jobs are killed: acknowledged early they are lost, acknowledged late put back.",
                source="celery/apps/worker.py on_cold_shutdown",
            ),
        }
    ),
    gives_up=(
        "memory: every slot is a process with a heap of its own",
        "sharing: caches, connections and clients exist once in every child",
        "fork safety: libraries that start threads before the fork (gRPC is one) can hang or crash a child",
    ),
)

_THREADS = Pool(
    name="threads",
    module="celery.concurrency.thread",
    slot=SlotKind.THREAD,
    is_default=True,
    traits=MappingProxyType(
        {
            Feature.HARD_TIME_LIMIT: Trait(
                effect=Effect.IGNORED,
                meaning="The limit is dropped before the job starts: a job that hangs holds its thread for ever.",
                source="celery/concurrency/thread.py TaskPool.on_apply",
            ),
            Feature.SOFT_TIME_LIMIT: Trait(
                effect=Effect.IGNORED,
                meaning="The limit is dropped before the job starts: nothing is raised in the job.",
                source="celery/concurrency/thread.py TaskPool.on_apply",
            ),
            Feature.MAX_TASKS: _NO_MAX_TASKS,
            Feature.MAX_MEMORY: _NO_MAX_MEMORY,
            Feature.TERMINATE: Trait(
                effect=Effect.ERROR,
                meaning="The reply is a NotImplementedError, and the job runs on.",
                source="celery/concurrency/base.py BasePool.terminate_job",
            ),
            Feature.AUTOSCALE: Trait(
                effect=Effect.ERROR,
                meaning="The first attempt to grow is an AttributeError that stops the whole node.",
                source="celery/worker/autoscale.py Autoscaler.scale_up",
            ),
            Feature.RESIZE: _NO_RESIZE,
            Feature.RESTART: _NO_RESTART,
            Feature.START_METHOD: _NO_START_METHOD,
            Feature.ISOLATION: _NO_ISOLATION,
            Feature.PARALLELISM: Trait(
                effect=Effect.ABSENT,
                meaning="One thread runs Python at a time, unless code releases the GIL or the interpreter has none.",
            ),
            Feature.MEMORY: Trait(
                effect=Effect.WORKS,
                meaning="All slots share one heap: a slot costs little, and what one job leaks stays for all.",
            ),
            Feature.COLD_SHUTDOWN: Trait(
                effect=Effect.ERROR,
                meaning="Cancelling is a NotImplementedError: the node waits for its running jobs and exits with 1.",
                source="celery/worker/consumer/consumer.py Consumer.cancel_active_requests",
            ),
        }
    ),
    gives_up=(
        "no time limits: hard and soft limits are ignored silently",
        "no crash isolation: os._exit, a segfault or the OOM killer in one job ends every job of the node",
        "no recycling: max-tasks-per-child and max-memory-per-child are ignored silently",
        "no terminate: revoke(terminate=True) is an error, and the job runs on",
        "no resizing: autoscale stops the node, pool_grow and pool_shrink are errors",
        "no parallel Python: one thread runs at a time, unless the interpreter is free-threaded",
    ),
)

_SOLO = Pool(
    name="solo",
    module="celery.concurrency.solo",
    slot=SlotKind.MAIN_THREAD,
    is_default=False,
    traits=MappingProxyType(
        {
            Feature.HARD_TIME_LIMIT: Trait(
                effect=Effect.IGNORED,
                meaning="The limit is dropped before the job starts: a job that hangs holds the node for ever.",
                source="celery/concurrency/base.py apply_target",
            ),
            Feature.SOFT_TIME_LIMIT: Trait(
                effect=Effect.IGNORED,
                meaning="The limit is dropped before the job starts: nothing is raised in the job.",
                source="celery/concurrency/base.py apply_target",
            ),
            Feature.MAX_TASKS: _NO_MAX_TASKS,
            Feature.MAX_MEMORY: _NO_MAX_MEMORY,
            Feature.TERMINATE: Trait(
                effect=Effect.IGNORED,
                meaning="The node reads the command only after the job has ended.",
                source="celery/concurrency/solo.py TaskPool.__init__",
            ),
            Feature.AUTOSCALE: Trait(
                effect=Effect.IGNORED,
                meaning="It takes one job at a time, so it never sees a reason to grow.",
                source="celery/worker/autoscale.py Autoscaler.maybe_scale",
            ),
            Feature.RESIZE: _NO_RESIZE,
            Feature.RESTART: _NO_RESTART,
            Feature.START_METHOD: _NO_START_METHOD,
            Feature.ISOLATION: Trait(
                effect=Effect.ABSENT,
                meaning="One process: os._exit, a segfault or the OOM killer ends the node.",
            ),
            Feature.PARALLELISM: Trait(
                effect=Effect.ABSENT,
                meaning="One job runs at a time.",
                source="celery/concurrency/solo.py TaskPool.__init__",
            ),
            Feature.MEMORY: Trait(
                effect=Effect.WORKS,
                meaning="One process with one slot: what a job leaks stays until the node is restarted.",
            ),
            Feature.COLD_SHUTDOWN: Trait(
                effect=Effect.ERROR,
                meaning="The NotImplementedError of the attempt to cancel is raised in the running job, which fails.",
                source="celery/worker/consumer/consumer.py Consumer.cancel_active_requests",
            ),
        }
    ),
    gives_up=(
        "no concurrency: one job at a time",
        "no control while a job runs: heartbeat, ping and revoke wait until it has ended",
        "no time limits: hard and soft limits are ignored silently",
        "no recycling: max-tasks-per-child and max-memory-per-child are ignored silently",
        "no crash isolation: os._exit, a segfault or the OOM killer in a job ends the node",
    ),
)

_GEVENT = Pool(
    name="gevent",
    package="gevent",
    module="celery.concurrency.gevent",
    slot=SlotKind.GREENLET,
    is_default=False,
    traits=MappingProxyType(
        {
            Feature.HARD_TIME_LIMIT: Trait(
                effect=Effect.WORKS,
                meaning="gevent.Timeout ends the job at its next switch; one that computes runs past it.",
                source="celery/concurrency/gevent.py apply_timeout",
            ),
            Feature.SOFT_TIME_LIMIT: Trait(
                effect=Effect.IGNORED,
                meaning="The limit is dropped before the job starts: nothing is raised in the job.",
                source="celery/concurrency/gevent.py TaskPool.on_apply",
            ),
            Feature.MAX_TASKS: _NO_MAX_TASKS,
            Feature.MAX_MEMORY: _NO_MAX_MEMORY,
            Feature.TERMINATE: Trait(
                effect=Effect.WORKS,
                meaning="The greenlet is killed at its next switch; the job ends as revoked.",
                source="celery/concurrency/gevent.py TaskPool.terminate_job",
            ),
            Feature.AUTOSCALE: Trait(
                effect=Effect.WORKS,
                meaning="Greenlets are added while jobs wait and removed after 30 s without need.",
                source="celery/worker/autoscale.py Autoscaler.maybe_scale",
            ),
            Feature.RESIZE: Trait(
                effect=Effect.WORKS,
                meaning="pool_grow and pool_shrink change how many greenlets may run.",
                source="celery/concurrency/gevent.py TaskPool.grow",
            ),
            Feature.RESTART: _NO_RESTART,
            Feature.START_METHOD: _NO_START_METHOD,
            Feature.ISOLATION: _NO_ISOLATION,
            Feature.PARALLELISM: Trait(
                effect=Effect.ABSENT,
                meaning="One thread for all: a job that computes holds up every other, and the node's answers.",
            ),
            Feature.MEMORY: Trait(
                effect=Effect.WORKS,
                meaning="All slots share one heap: a slot costs a small stack, and what one job leaks stays for all.",
            ),
            Feature.COLD_SHUTDOWN: Trait(
                effect=Effect.ERROR,
                meaning="A killed job counts as succeeded, so running jobs are lost, even if acknowledged late.",
                source="celery/concurrency/gevent.py TaskPool._make_killable_target",
            ),
        }
    ),
    gives_up=(
        "running jobs: a cold shutdown counts them as done, acknowledged late as well",
        "control beside jobs that compute: one holds up all others, and heartbeat and ping with them",
        "the standard library as it is: sockets, locks, threads and sleep are patched under every job and library",
        "no soft time limits: they are ignored silently; hard ones wait until the job switches",
        "no recycling: max-tasks-per-child and max-memory-per-child are ignored silently",
        "no crash isolation: os._exit, a segfault or the OOM killer in one job ends every job of the node",
        "no parallel Python, on a free-threaded interpreter neither: all jobs share one thread",
    ),
)

POOLS: Mapping[str, Pool] = MappingProxyType({pool.name: pool for pool in (_PREFORK, _THREADS, _SOLO, _GEVENT)})
"""Every pool that a lane may have, by name."""

DEFAULT_POOLS = tuple(pool.name for pool in POOLS.values() if pool.is_default)
"""The pools of a race that names no lanes, in that order, and of the stack's workers."""

FORKING = _PREFORK.name
"""The pool whose slots are child processes."""

FORKING_WHATEVER_IS_SET = "processes"
"""Celery's other name for that pool. `-P prefork` is overruled by the setting worker_pool, being the default."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "eventlet": "it patches the standard library under every job, and its maintainers discourage its use",
    }
)
"""Pools of Celery that are not raced, with the reason."""

_ALIASES = MappingProxyType({"processes": _PREFORK.name, "fork": _PREFORK.name, "single": _SOLO.name})

_OFF = (0, False, "")
_NO_CHILD = tuple(pool.name for pool in POOLS.values() if not pool.has_children)


def _lacking(feature: Feature) -> tuple[str, ...]:
    return tuple(pool.name for pool in POOLS.values() if not pool.offers(feature))


_RULES = (
    _Rule(
        setting="task_time_limit",
        pools=_lacking(Feature.HARD_TIME_LIMIT),
        harmless=_OFF,
        consequence="is ignored silently: a job that hangs keeps its slot for ever",
    ),
    _Rule(
        setting="task_soft_time_limit",
        pools=_lacking(Feature.SOFT_TIME_LIMIT),
        harmless=_OFF,
        consequence="is ignored silently: nothing is raised in a job that takes longer",
    ),
    _Rule(
        setting="worker_max_tasks_per_child",
        pools=_lacking(Feature.MAX_TASKS),
        harmless=_OFF,
        consequence="is ignored silently: there is no child to replace, and leaks stay until the node is restarted",
    ),
    _Rule(
        setting="worker_max_memory_per_child",
        pools=_lacking(Feature.MAX_MEMORY),
        harmless=_OFF,
        consequence="is ignored silently: the node grows until it is restarted or killed",
    ),
    _Rule(
        setting="autoscale",
        pools=(_THREADS.name,),
        harmless=_OFF,
        consequence="stops the node with an AttributeError as soon as it tries to grow",
    ),
    _Rule(
        setting="autoscale",
        pools=(_SOLO.name,),
        harmless=_OFF,
        consequence="has no effect: there is one slot",
    ),
    _Rule(
        setting="worker_autoscaler",
        pools=_lacking(Feature.AUTOSCALE),
        harmless=("celery.worker.autoscale:Autoscaler",),
        consequence="has no pool to scale: this one has no grow and no shrink",
    ),
    _Rule(
        setting="worker_pool_restarts",
        pools=_lacking(Feature.RESTART),
        harmless=_OFF,
        consequence="makes pool_restart answer 'reload started', and nothing is restarted",
    ),
    _Rule(
        setting="worker_pool_start_method",
        pools=_lacking(Feature.START_METHOD),
        harmless=("fork",),
        consequence="has no effect: no process is started",
    ),
    _Rule(
        setting="worker_proc_alive_timeout",
        pools=_NO_CHILD,
        harmless=(4.0,),
        consequence="has no effect: no process is started",
    ),
    _Rule(
        setting="worker_lost_wait",
        pools=_NO_CHILD,
        harmless=(10.0,),
        consequence="has no effect: a crash in a job ends the whole node, and nobody is left to wait",
    ),
    _Rule(
        setting="task_reject_on_worker_lost",
        pools=_NO_CHILD,
        harmless=_OFF,
        consequence="has no effect: a crash in a job ends the whole node, and nobody is left to reject the message",
    ),
    _Rule(
        setting="task_reject_on_worker_lost",
        pools=(_PREFORK.name,),
        harmless=_OFF,
        consequence="has no effect on jobs that are acknowledged early, which is what task_acks_late is set to",
        unless="task_acks_late",
    ),
    _Rule(
        setting="task_retry_on_worker_lost",
        pools=_NO_CHILD,
        harmless=_OFF,
        consequence="has no effect: a crash in a job ends the whole node, and nobody is left to retry it",
    ),
    _Rule(
        setting="task_acks_on_timeout",
        pools=_lacking(Feature.HARD_TIME_LIMIT),
        harmless=(),
        consequence="has no effect: no job ever times out",
    ),
    _Rule(
        setting="worker_cancel_long_running_tasks_on_connection_loss",
        pools=_lacking(Feature.TERMINATE),
        harmless=_OFF,
        consequence="cannot cancel anything: the jobs run on, and late-acknowledged ones are delivered again",
    ),
    _Rule(
        setting="worker_soft_shutdown_timeout",
        pools=_lacking(Feature.TERMINATE),
        harmless=_OFF,
        consequence="delays a cold shutdown, which then fails to cancel the jobs that still run",
    ),
    _Rule(
        setting="worker_concurrency",
        pools=(_SOLO.name,),
        harmless=(1,),
        consequence="adds no slot: one job runs at a time, and the node only prefetches more",
    ),
)


def find_pool(name: str) -> Pool:
    """
    Return the pool of a name.

    Raises:
        UnknownPoolError: If there is no such pool, with the nearest name; or if it is not raced, with the reason.
    """
    if name in POOLS:
        return POOLS[name]
    if name in REFUSED:
        raise UnknownPoolError(f"pool {name!r} is not raced: {REFUSED[name]}. Use one of {', '.join(POOLS)}.")
    raise UnknownPoolError(f"pool {name!r}: must be one of {', '.join(POOLS)}.{_hint(name)}")


def pool_of_module(module: str) -> str:
    """Return the name of the pool whose class is in a module; of a module that is not Celery's, its last name."""
    return next((pool.name for pool in POOLS.values() if pool.module == module), module.rpartition(".")[2])


def has_children(pool: str) -> bool:
    """Check by name whether a pool's jobs run in child processes; False for a pool that is not known."""
    return pool in POOLS and POOLS[pool].has_children


def has_thread_of_its_own(pool: str) -> bool:
    """Check by name whether a job has its thread for itself while it runs; True for a pool that is not known."""
    return POOLS[pool].has_thread_of_its_own if pool in POOLS else pool not in REFUSED


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name.strip().lower(), [*POOLS, *_ALIASES], n=1)
    return f" Did you mean {_ALIASES.get(near[0], near[0])}?" if near else ""


def gives_up(pool: str) -> tuple[str, ...]:
    """
    Return the losses of a team that chooses a pool, a short sentence each.

    Raises:
        UnknownPoolError: If the pool is not known.
    """
    return find_pool(pool).gives_up


def inert_settings(pool: str, conf: Mapping[str, object]) -> list[InertSetting]:
    """
    Return the settings that were changed and have no effect on a pool, or fail there.

    Args:
        pool: Its name. A pool that is not known has none: a node may run any.
        conf: Celery's configuration, e.g. `app.conf`; lower-case names. `autoscale` is the worker's option.
    """
    return [
        InertSetting(
            setting=rule.setting,
            value=conf[rule.setting],
            consequence=f"{rule.setting} = {conf[rule.setting]!r} {rule.consequence}.",
        )
        for rule in _RULES
        if rule.denies(pool, conf)
    ]
