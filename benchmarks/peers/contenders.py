"""The queues that are measured, each with the command of its workers and its settings, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SLOTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """
    A queue in one setting.

    Attributes:
        name: How it is called in the table.
        package: Its package on the index, with the version that is shown; celery for nodes of Celery.
        jobs: The module of its jobs, in the folder `jobs`; run with a number, it sends so many.
        work: The words of its workers' command, behind the interpreter.
        environment: Variables that set what no word does.
        is_ours: Whether it is measured with the interpreter that runs the benchmark.
    """

    name: str
    package: str
    jobs: str
    work: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ours: bool = False


def _celery(name: str, *words: str) -> Contender:
    node = ["-m", "celery", "-A", "celery_jobs", "worker", "--without-gossip", "--without-mingle", "-l", "ERROR"]
    slots = ["-c", str(SLOTS)]
    return Contender(name=name, package="celery", jobs="celery_jobs", work=[*node, *slots, *words], is_ours=True)


_ATOMIC = ("-I", "poolrace.transport.installed")
_AHEAD = ("--prefetch-multiplier", "16")
_DRAMATIQ = ("-m", "dramatiq", "dramatiq_jobs", "--threads", str(SLOTS))
_ARQ = ("-m", "arq", "arq_jobs.WorkerSettings")
_STREAQ = ("-m", "streaq", "run", "streaq_jobs:worker")

CONTENDERS = (
    _celery("Celery, stock, threads", "-P", "threads"),
    _celery("Celery, stock, prefork", "-P", "prefork"),
    _celery("Celery, atomic, threads", "-P", "threads", *_ATOMIC),
    _celery("Celery, atomic, prefork", "-P", "prefork", *_ATOMIC),
    _celery("Celery, atomic, threads, prefetch 16", "-P", "threads", *_AHEAD, *_ATOMIC),
    _celery("Celery, atomic, prefork, prefetch 16", "-P", "prefork", *_AHEAD, *_ATOMIC),
    Contender(
        name="dramatiq, 1 process of 8 threads",
        package="dramatiq",
        jobs="dramatiq_jobs",
        work=[*_DRAMATIQ, "--processes", "1"],
    ),
    Contender(
        name="dramatiq, 2 processes of 8 threads, prefetch 512",
        package="dramatiq",
        jobs="dramatiq_jobs",
        work=[*_DRAMATIQ, "--processes", "2"],
        environment={"dramatiq_queue_prefetch": "512"},
    ),
    Contender(name="arq, 8 at once", package="arq", jobs="arq_jobs", work=_ARQ),
    Contender(
        name="arq, 100 at once, asked every 10 ms",
        package="arq",
        jobs="arq_jobs",
        work=_ARQ,
        environment={"PEER_SLOTS": "100", "PEER_POLL_S": "0.01"},
    ),
    Contender(name="streaq, 8 at once", package="streaq", jobs="streaq_jobs", work=_STREAQ),
    Contender(
        name="streaq, 2 processes, 100 at once, prefetch 1000",
        package="streaq",
        jobs="streaq_jobs",
        work=[*_STREAQ, "--workers", "2"],
        environment={"PEER_SLOTS": "100", "PEER_PREFETCH": "1000"},
    ),
)
"""Each as one node of eight slots, and again in settings for many short jobs."""
