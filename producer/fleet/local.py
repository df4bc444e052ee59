"""A fleet on this machine: an embedded broker or the user's own, and nodes that this run starts and ends."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING, Self

from celery import Celery

from poolrace.contract import records_queue
from poolrace.ownapp.redirect import Redirect
from poolrace.ownapp.routing import counterpart
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.broker import Broker, connect, forget_keys, forget_queue
from producer.fleet.broker_errors import needing_broker
from producer.fleet.control import Control
from producer.fleet.control_group import ControlGroup, GroupLimits
from producer.fleet.distance import Distances
from producer.fleet.embedded import start_embedded
from producer.fleet.environment import APP, inherited_environment, interpreter, source_path
from producer.fleet.node_checks import check_cpus, check_node, check_transport
from producer.fleet.processes import Child, Processes
from producer.plan.distance import rtt_s
from producer.plan.lane_settings import cpus_of, environment_of
from producer.plan.settings import RESULT_SCHEMES
from producer.rundir.events import NULL_LOG, EventKind, EventLog
from producer.rundir.manifest import Distance, NodeFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from producer.plan.lanes import Lane
    from producer.plan.own_app import OwnApp

UPSTREAM_READY_S = 10.0
ASK_S = 0.25
ROUND_TRIPS_OF_AN_ANSWER = 4
"""A node's answer takes two to its broker at least: half for the question, one to find the queue, half to send it."""

OWN_APP_NODE = "poolrace.ownapp.node"


class LocalFleet:
    """
    Broker, upstream and nodes as processes of this machine.

    Use it as a context manager; leaving it ends all of them and removes what they wrote, except logs.
    """

    def __init__(
        self,
        run_id: str,
        lanes: Sequence[Lane],
        *,
        logs: Path,
        broker_url: str | None,
        needs_upstream: bool,
        ready_s: float,
        own_app: OwnApp | None = None,
        events: EventLog = NULL_LOG,
    ) -> None:
        self.lanes = tuple(lanes)
        self._run_id = run_id
        self._logs = logs
        self._broker_url = broker_url
        self._needs_upstream = needs_upstream
        self._ready_s = ready_s
        self._own_app = own_app
        self._events = events
        self._own_queues = own_app.queues if own_app else ()
        self._results = f"poolrace.{run_id}.results."
        self._processes = Processes()
        self._nodes: dict[str, list[Child]] = {}
        self._groups: dict[str, list[ControlGroup]] = {}
        self._started_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._processes.__enter__()
        try:
            self._folder = self._processes.folder()
            self.broker: Broker = (
                connect(self._broker_url) if self._broker_url else start_embedded(self._processes, self._folder)
            )
            self.app = Celery("poolrace", broker=self.broker.url, set_as_current=False)
            self._distances = Distances(self._processes, self._logs, self.broker.url)
            self._upstream_url = self._start_upstream() if self._needs_upstream else ""
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start(self, lane: Lane) -> list[NodeFacts]:
        """
        Start the nodes of a lane, all at once, and wait until they answer.

        Raises:
            FleetError: If one ends or stays silent.
        """
        environment, cpus = self._environment(lane), cpus_of(lane.settings)
        self._started_at[lane.key] = time.time()
        children = self._nodes[lane.key] = []
        groups = self._groups[lane.key] = []
        for name in _names(lane):
            if cpus is not None:
                groups.append(self._processes.group(GroupLimits(cpus=cpus)))
            child = self._processes.start(
                f"node {_at_this_host(name)}", self._command(lane, name), env=environment,
                log=self._log(name), cwd=self._own_app.folder if self._own_app else self._folder,
                group=groups[-1] if groups else None,
            )  # fmt: skip
            children.append(child)
        nodes = [
            NodeFacts(node=node, lane=lane.key, ready_s=None, hello=self._wait_for_hello(lane, node, child))
            for node, child in zip(self.nodes(lane), children, strict=True)
        ]
        for facts in nodes:
            check_transport(lane, facts.node, facts.hello)
            check_node(lane, facts.node, facts.hello)
            check_cpus(lane, facts.node, facts.hello)
        return nodes

    def stop(self, lane: Lane) -> None:
        """End the nodes of a lane, all at once."""
        self._processes.stop(*self._nodes.pop(lane.key))
        self._processes.remove(*self._groups.pop(lane.key))

    def started_at(self, lane: Lane) -> float:
        """Return when the lane's first process was started, in seconds since the epoch."""
        return self._started_at[lane.key]

    def queue(self, lane: Lane) -> str:
        """Return the lane's queue, which no other run has, so that nothing else on a shared broker is touched."""
        return f"poolrace.{self._run_id}.{lane.key}"

    def queues(self, lane: Lane) -> list[str]:
        """Return the lane's queue, and a counterpart of each queue of the user's app."""
        return [counterpart(self.queue(lane), own) for own in ("", *self._own_queues)]

    def nodes(self, lane: Lane) -> list[str]:
        """Return the names of the lane's nodes: its key, a number if there are several, and the host."""
        return [_at_this_host(name) for name in _names(lane)]

    def distances(self) -> list[Distance]:
        """Return how far the nodes of lanes are from the broker, of lanes for which a distance was asked."""
        return self._distances.found()

    def check(self) -> None:
        """Check that broker, upstream and nodes still run."""
        for lane in self.lanes:
            # Only nodes that were started: a lane of a sweep may not have had its turn.
            for node, child in zip(self.nodes(lane), self._nodes.get(lane.key, ()), strict=False):
                if how := child.ended():
                    self._events.note(EventKind.LOST, lane=lane.key, node=node, detail=how)
        self._processes.check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Nodes first and together: they say goodbye to the broker.
            self._processes.stop(*chain.from_iterable(self._nodes.values()))
            self._nodes.clear()
            if self._broker_url and hasattr(self, "app"):
                self._forget_queues()
        finally:
            self._processes.__exit__(kind, error, trace)

    def _forget_queues(self) -> None:
        # The nodes' last shipments arrived after the collector had closed.
        names = [records_queue(self._run_id), *(name for lane in self.lanes for name in self.queues(lane))]
        with suppress(FleetError), needing_broker(), self.app.connection_for_write() as connection:
            for name in names:
                with suppress(*connection.channel_errors):
                    forget_queue(connection, name)
            if self._own_app or any(lane.stores_results for lane in self.lanes):
                forget_keys(connection, self._results)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _command(self, lane: Lane, name: str) -> list[str]:
        # The safe path, as of the script `celery`: a module of the user's may be called as one of the standard library.
        # Celery puts the current folder first, too, once it has imported what it needs.
        return [
            interpreter(lane.python), "-P", "-m", "celery", "-A", OWN_APP_NODE if self._own_app else APP, "worker",
            *lane.worker_flags(), "-n", f"{name}@%h", *self._consumed(lane), "--without-gossip",
            "--without-mingle", "--loglevel", "WARNING",
        ]  # fmt: skip

    def _consumed(self, lane: Lane) -> list[str]:
        # A user's app finds its queues in its settings; the option would split a name that holds a comma.
        return [] if self._own_app else ["-Q", self.queue(lane)]

    def _environment(self, lane: Lane) -> dict[str, str]:
        if self._own_app:
            return {
                **self._own_app.environment,
                **environment_of(dict(lane.settings)),
                **source_path(lane.python),
                **self._terms(lane, self._own_app).environment(),
            }
        return {
            **inherited_environment(os.environ),
            **environment_of(dict(lane.settings)),
            **source_path(lane.python),
            # A node that is killed leaves folders behind; these are removed with the fleet's folder.
            "TMPDIR": str(self._folder),
            "POOLRACE_BROKER_URL": self._distances.url(lane),
            "POOLRACE_UPSTREAM_URL": self._upstream_url or "http://127.0.0.1:9",
            "POOLRACE_DISK_DIR": str(self._folder),
            "POOLRACE_ACKS": lane.acks,
            **self._results_environment(lane),
        }

    def _results_environment(self, lane: Lane) -> dict[str, str]:
        if not lane.stores_results:
            return {}
        url = backend_for(self._distances.url(lane), stored=True) or ""
        return {"POOLRACE_RESULTS_URL": url, "POOLRACE_RESULTS_PREFIX": self._results}

    def _terms(self, lane: Lane, own_app: OwnApp) -> Redirect:
        broker_url = self._distances.url(lane)
        return Redirect(
            app=own_app.app,
            broker_url=broker_url,
            queue=self.queue(lane),
            acks=lane.acks,
            queues=self._own_queues,
            backend_url=None if own_app.keep_backend else backend_for(broker_url, stored=keeps_results(own_app, lane)),
            backend_prefix=self._results,
            folder=str(self._folder),
        )

    def _start_upstream(self) -> str:
        log = self._log("upstream")
        child = self._processes.start(
            "upstream", [sys.executable, "-m", "worker.upstream"], env=inherited_environment(os.environ), log=log,
            cwd=self._folder,
        )  # fmt: skip

        def listening() -> re.Match[str] | None:
            child.check()
            return re.search(r"listening on (http://\S+)", child.said())

        found = until(listening, UPSTREAM_READY_S, every_s=0.02)
        if found is None:
            raise FleetError(f"The upstream server did not start in {UPSTREAM_READY_S:.0f} s; its log is {log}.")
        return found[1]

    def _wait_for_hello(self, lane: Lane, node: str, child: Child) -> Mapping[str, object]:
        ask_s = ASK_S + ROUND_TRIPS_OF_AN_ANSWER * (rtt_s(lane.settings) or 0.0)

        def hello() -> Mapping[str, object] | None:
            child.check()
            return control.hello(self._run_id, [node], ask_s).get(node)

        with closing(Control(self.app)) as control:
            answer = until(hello, self._ready_s, every_s=0)
        if answer is None:
            silence = f"The {child.name} did not become ready in {self._ready_s:.0f} s."
            raise FleetError(f"{silence} The end of its log, {child.log}:\n{child.tail()}")
        return answer


def _names(lane: Lane) -> list[str]:
    """Return the names of a lane's nodes, without the host."""
    return [lane.key] if lane.nodes == 1 else [f"{lane.key}-n{number}" for number in range(1, lane.nodes + 1)]


def _at_this_host(name: str) -> str:
    return f"{name}@{socket.gethostname()}"


def keeps_results(own_app: OwnApp, lane: Lane) -> bool:
    """Return whether nodes of a lane have a backend: their app has one, or the lane is to store results."""
    return lane.stores_results or own_app.facts["backend_scheme"] not in {"", "disabled"}


def backend_for(broker_url: str, *, stored: bool) -> str | None:
    """Return the URL for the results of a user's app: the run's broker; None if none are stored."""
    if not stored:
        return None
    first = broker_url.partition(";")[0]  # of several for a failover; a backend takes one
    return first if first.startswith(RESULT_SCHEMES) else "rpc://"
