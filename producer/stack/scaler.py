"""
The signal on which a fleet is scaled: the work of each queue, over HTTP.

`/scaler/QUEUE` is JSON for KEDA's `metrics-api`, `/metrics` is text for Prometheus. What was not seen lately is not
told: whoever scales is better off with an error, for which KEDA has a fallback, than with an old number.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from producer.fleet.queue_work import QueueWork

    Application = Callable[[Mapping[str, Any], Callable[..., Any]], Sequence[bytes]]

STALE_LOOKS = 3
"""A look counts until so many more should have been made."""
METRICS = "/metrics"
SCALER = "/scaler/"
HEALTH = "/healthz"


@dataclass(frozen=True, slots=True)
class Look:
    """The work of all queues at an instant of the monotonic clock, in seconds."""

    at_s: float
    work: Mapping[str, QueueWork]


class Signal:
    """The last look at the queues, for several threads."""

    def __init__(self, queues: Sequence[str], every_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.queues = tuple(queues)
        self._stale_s = STALE_LOOKS * every_s
        self._now = now
        self._look: Look | None = None
        self._trouble = "no look at the queues yet"

    def seen(self, work: Mapping[str, QueueWork]) -> None:
        """Take a new look."""
        self._look = Look(self._now(), work)

    def missed(self, why: str) -> None:
        """Note why a look was not possible."""
        self._trouble = why

    def work(self) -> Mapping[str, QueueWork] | None:
        """Return the work of each queue; None if the last look is too old."""
        look = self._look
        return None if look is None or self._now() - look.at_s > self._stale_s else look.work

    @property
    def trouble(self) -> str:
        """Why there is no recent look."""
        return self._trouble


def told(queue: str, found: QueueWork) -> dict[str, Any]:
    """Return the work of a queue as JSON has it."""
    return {"queue": queue, **asdict(found), "work": found.work, "work_per_slot": found.work_per_slot}


class Gauges:
    """The signal as gauges of Prometheus; without a recent look there are none."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        work = self._signal.work() or {}
        jobs = GaugeMetricFamily("poolrace_queue_jobs", "Jobs of a queue.", labels=["queue", "state"])
        slots = GaugeMetricFamily("poolrace_queue_slots", "Slots of the nodes of a queue.", labels=["queue"])
        nodes = GaugeMetricFamily("poolrace_queue_nodes", "Nodes of a queue that answered.", labels=["queue"])
        want = GaugeMetricFamily("poolrace_queue_work_jobs", "Jobs that want a slot now.", labels=["queue"])
        each = GaugeMetricFamily("poolrace_queue_work_per_slot", "The same, over the slots.", labels=["queue"])
        for queue, found in work.items():
            for state in ("ready", "unacked", "running", "later"):
                jobs.add_metric([queue, state], getattr(found, state))
            slots.add_metric([queue], found.slots)
            nodes.add_metric([queue], found.nodes)
            want.add_metric([queue], found.work)
            if found.work_per_slot is not None:
                each.add_metric([queue], found.work_per_slot)
        yield from (jobs, slots, nodes, want, each)


def application(signal: Signal) -> Application:
    """Return the WSGI application that tells the signal."""
    registry = CollectorRegistry()
    registry.register(Gauges(signal))
    metrics: Application = make_wsgi_app(registry)

    def answer(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Sequence[bytes]:
        path = environ["PATH_INFO"]
        if path == METRICS:
            return metrics(environ, start_response)
        status, body = _answer(signal, path)
        text = (json.dumps(body) + "\n").encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [text]

    return answer


def _answer(signal: Signal, path: str) -> tuple[HTTPStatus, Mapping[str, Any]]:
    work = signal.work()
    queue = unquote(path.removeprefix(SCALER)) if path.startswith(SCALER) else None
    if path != HEALTH and queue not in signal.queues:
        known = [METRICS, HEALTH, *(SCALER + each for each in signal.queues)]
        return HTTPStatus.NOT_FOUND, {"error": "not here", "here": known}
    if work is None:
        return HTTPStatus.SERVICE_UNAVAILABLE, {"error": signal.trouble}
    return HTTPStatus.OK, {"ok": True} if queue is None else told(queue, work[queue])


class _Quiet(WSGIRequestHandler):
    """Answers without a line in the log for each request."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def serve(signal: Signal, address: str, port: int) -> ThreadingWSGIServer:
    """
    Answer from a thread, until the server is shut down.

    Raises:
        OSError: If the address or port cannot be had.
    """
    server = make_server(address, port, application(signal), ThreadingWSGIServer, _Quiet)
    threading.Thread(target=server.serve_forever, name="scaler", daemon=True).start()
    return server
