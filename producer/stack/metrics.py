"""
Metrics of a live load, for Prometheus.

Neither Flower nor the broker reports the backlog, queue waits or busy slots. They are counted here, from the records
that nodes ship. Busy slots: the rate of `poolrace_slot_busy_seconds_total` is how many are busy on average.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from producer.fleet.broker_errors import in_short
from producer.plan.stages import STAGES, with_returns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from producer.fleet.attached import FoundLane
    from producer.fleet.queue_depth import Depth
    from producer.stack.live_settings import LiveSettings

logger = logging.getLogger(__name__)

WAIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LAG_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
PAUSES = ("user", "measurement", "broker")
NODE = ("lane", "pool", "node")
OBSERVED = ("service", "queue_wait", "sojourn")
"""Stages of each job that are counted."""


class Exporter:
    """Metrics of one live load, served as text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def made(kind: Any, name: str, text: str, labels: Sequence[str] = (), **options: Any) -> Any:
            return kind(f"poolrace_{name}", text, labels, registry=self.registry, **options)

        self._sent = made(Counter, "jobs_sent", "Jobs that the broker took.", ("lane", "workload"))
        self._refused = made(Counter, "jobs_refused", "Jobs that the broker did not take.", ("lane", "workload"))
        self._jobs = made(Counter, "jobs", "Deliveries that came to an end.", (*NODE, "workload", "outcome"))
        self._busy = made(Counter, "slot_busy_seconds", "Time that slots spent on jobs.", NODE)
        self._slots = made(Gauge, "slots", "Slots of a node.", NODE)
        self._queue_wait = made(
            Histogram, "queue_wait_seconds", STAGES["queue_wait"].meaning, ("lane", "pool"), buckets=WAIT_BUCKETS_S
        )
        self._sojourn = made(
            Histogram, "sojourn_seconds", STAGES["sojourn"].meaning, ("lane", "pool"), buckets=WAIT_BUCKETS_S
        )
        self._lag = made(
            Histogram, "publish_lag_seconds", STAGES["publish_lag"].meaning, ("lane",), buckets=LAG_BUCKETS_S
        )
        self._backlog = made(
            Gauge, "backlog_jobs", "Jobs in a queue, all priorities.", ("lane", "pool", "queue", "state")
        )
        self._dead_letters = made(Gauge, "dead_letters", "Messages that the atomic transport has set aside.")
        self._cpu = made(Counter, "node_cpu_seconds", "CPU time of a node's process tree.", NODE)
        self._pss = made(Gauge, "node_pss_bytes", "Memory (PSS) of a node's process tree.", NODE)
        self._private = made(
            Gauge, "node_private_bytes", "What of its memory (PSS) a node's processes do not share.", NODE
        )
        self._processes = made(Gauge, "node_processes", "Processes of a node.", NODE)
        self._threads = made(Gauge, "node_threads", "Threads of a node.", NODE)
        self._rate = made(Gauge, "live_rate", "Jobs per second that the load has to send.", ("lane",))
        self._paused = made(Gauge, "live_paused", "1 if the load is paused, and why.", ("reason",))
        self._nodes: dict[str, tuple[str, str, str]] = {}
        self._queues: dict[str, tuple[str, str]] = {}
        self._cpu_s: dict[str, float] = {}
        self._said: str | None = None

    def serve(self, address: str, port: int) -> None:
        """Answer `/metrics` from a thread, on one address or, as 0.0.0.0, on every one."""
        start_http_server(port, addr=address, registry=self.registry)

    def settings(self, settings: LiveSettings, paused: str | None) -> None:
        """Take the settings of the load, and why it is paused, if it is."""
        for reason in PAUSES:
            self._paused.labels(reason).set(reason == paused)
        for lane in {lane for lane, _, _ in self._nodes.values()}:
            self._rate.labels(lane).set(0 if paused else settings.rate_per_s)
        self._say(f"Paused ({paused})" if paused else f"Sending {settings.rate_per_s:g}/s on each lane")

    def trouble(self, error: Exception) -> None:
        """Note that the broker is away or refuses, and say so once."""
        self._paused.labels("broker").set(1)
        self._say(f"Waiting for the broker: {in_short(error)}")

    def sent(self, lane: str, workload: str, lag_s: float) -> None:
        """Count a job that the broker took."""
        self._sent.labels(lane, workload).inc()
        self._lag.labels(lane).observe(lag_s)

    def refused(self, lane: str, workload: str) -> None:
        """Count a job that the broker did not take."""
        self._refused.labels(lane, workload).inc()

    def lanes(self, found: Mapping[str, FoundLane], hellos: Mapping[str, Mapping[str, Any]]) -> None:
        """Note the nodes that answer now; those that are gone leave the gauges."""
        now = {node: (key, each.lane.pool, node) for key, each in found.items() for node in each.nodes}
        for node in set(self._nodes) - set(now):
            for gauge in (self._slots, self._pss, self._private, self._processes, self._threads):
                if self._nodes[node] in gauge._metrics:  # noqa: SLF001 - remove() raises where there is none
                    gauge.remove(*self._nodes[node])
        self._nodes = now
        self._queues = {each.queue: (key, each.lane.pool) for key, each in found.items()}
        for node, labels in now.items():
            self._slots.labels(*labels).set(hellos[node]["concurrency"])

    def backlog(self, queue: str, found: Depth | None) -> None:
        """Note how many jobs wait in the queue of a lane that was found."""
        if found is not None:
            self._backlog.labels(*self._queues[queue], queue, "ready").set(found.ready)
            self._backlog.labels(*self._queues[queue], queue, "unacked").set(found.unacked)

    def dead_letters(self, found: int | None) -> None:
        """Note how many messages have been set aside."""
        if found is not None:
            self._dead_letters.set(found)

    def records(self, records: pl.DataFrame, samples: pl.DataFrame, workloads: Sequence[str]) -> None:
        """Count what came back: records of jobs, whose trial is the index of their workload, and samples of nodes."""
        jobs = with_returns(records).with_columns(**{name: STAGES[name].took_s for name in OBSERVED})
        for row in jobs.iter_rows(named=True):
            self._record(row, workloads[row["trial"]])
        for row in samples.iter_rows(named=True):
            self._sample(row)

    def _record(self, row: Mapping[str, Any], workload: str) -> None:
        labels = row["lane"], row["pool"], row["node"]
        self._jobs.labels(*labels, workload, row["outcome"]).inc()
        if row["service"] is not None:
            # Clocks of two hosts may disagree by more than it took; counters and buckets know no less than nothing.
            self._busy.labels(*labels).inc(max(0.0, row["service"]))
            self._queue_wait.labels(row["lane"], row["pool"]).observe(row["queue_wait"])
            self._sojourn.labels(row["lane"], row["pool"]).observe(row["sojourn"])

    def _sample(self, row: Mapping[str, Any]) -> None:
        labels = self._nodes.get(row["node"])
        if labels is None:
            return
        used_s = row["cpu_s"] - self._cpu_s.get(row["node"], row["cpu_s"])
        # A node that was started again counts from nothing.
        self._cpu.labels(*labels).inc(used_s if used_s >= 0 else row["cpu_s"])
        self._cpu_s[row["node"]] = row["cpu_s"]
        self._processes.labels(*labels).set(row["processes"])
        self._threads.labels(*labels).set(row["threads"])
        if row["pss_bytes"] is not None:
            self._pss.labels(*labels).set(row["pss_bytes"])
        if row["private_bytes"] is not None:
            self._private.labels(*labels).set(row["private_bytes"])

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            logger.warning(text)
