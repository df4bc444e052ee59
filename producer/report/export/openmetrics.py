"""
What a run found as OpenMetrics text, and its way to a Pushgateway.

The types are those that the older Prometheus text format has, too: a Pushgateway reads that one.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, basic_auth_handler
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from producer.analysis.load import load_lanes
from producer.analysis.memory import memory_per_slot_bytes
from producer.errors import UsageError
from producer.plan.stages import STAGES
from producer.report.export.rows import counted_jobs, counted_successes, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray
    from prometheus_client.core import Metric

    from producer.plan.stages import Stage
    from producer.report.export.rows import Choice
    from producer.rundir.run import Run

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds; what took longer is in +Inf."""

BY = ("lane", "workload", "kind")
HISTOGRAMS = ("sojourn", "queue_wait")
"""Stages of which there is a histogram."""

RATES = {"offered": "Jobs of the plan, over the time it takes.", "finished": "Jobs done, over that time or their own."}
PUSH_TIMEOUT_S = 10.0
REASON_CHARACTERS = 200
EXAMPLE = "http://127.0.0.1:9091/metrics/job/poolrace"


class RunMetrics(Collector):
    """
    The metrics of a run, made anew each time they are collected.

    Jobs are counted as in the report: without phases that do not count, unless `choice.warm_up`.
    """

    def __init__(self, run: Run, choice: Choice) -> None:
        self._run = run
        self._choice = choice

    def collect(self) -> Iterator[Metric]:
        """
        Yield each metric.

        Raises:
            UsageError: As `deliveries`.
        """
        successes = counted_successes(self._run, self._choice)
        yield self._jobs()
        for name in HISTOGRAMS:
            yield _histogram(successes, STAGES[name])
        yield self._memory()
        yield from self._rates()

    def _jobs(self) -> Metric:
        """Count deliveries by outcome; a job that was retried has several."""
        by = (*BY, "outcome")
        found = CounterMetricFamily("poolrace_run_jobs", "Deliveries that came to an end.", labels=by)
        counted = counted_jobs(self._run, self._choice)
        ours = deliveries(self._run, self._choice).join(counted, on=("trial", "seq"), how="semi")
        for *labels, jobs in ours.group_by(by).len().sort(by).iter_rows():
            found.add_metric(labels, jobs)
        return found

    def _memory(self) -> Metric:
        text = "Memory (PSS) of a lane's nodes while it worked, by slot."
        found = GaugeMetricFamily("poolrace_run_memory_per_slot_bytes", text, labels=("lane",), unit="bytes")
        trials = self._choice.trials(self._run)
        for lane in dict.fromkeys(trial.lane for trial in trials):
            windows = [(trial.began_at, trial.ended_at) for trial in trials if trial.lane == lane]
            slots = next(trial.slots for trial in trials if trial.lane == lane)
            size = memory_per_slot_bytes(self._run.samples, lane=lane, windows=windows, slots=slots)
            if size is not None:
                found.add_metric((lane,), size)
        return found

    def _rates(self) -> Iterator[Metric]:
        """Yield the rates of a load, as in its report: all workloads together, phases that count."""
        loads = [lane for lane in load_lanes(self._run) if self._choice.lane in {None, lane.lane}]
        for rate, text in RATES.items() if loads else ():
            found = GaugeMetricFamily(f"poolrace_run_{rate}_jobs_per_second", text, labels=("lane",))
            for lane in loads:
                found.add_metric((lane.lane,), getattr(lane, f"{rate}_per_s"))
            yield found


def _histogram(successes: pl.DataFrame, stage: Stage) -> Metric:
    """
    Count the jobs of each lane, workload and kind of trial by how long they took.

    The format lets no sum be of values below zero, which clocks of two hosts can make; there it is left out, and the
    values are in the first bucket.
    """
    found = HistogramMetricFamily(f"poolrace_run_{stage.name}_seconds", stage.meaning, labels=BY, unit="seconds")
    timed = successes.with_columns(took_s=stage.took_s).drop_nulls("took_s")
    for labels, group in sorted(timed.partition_by(BY, as_dict=True).items()):
        took_s = np.sort(group["took_s"].to_numpy())
        found.add_metric([str(label) for label in labels], _buckets(took_s), _sum_s(took_s))
    return found


def _buckets(took_s: NDArray[np.float64]) -> list[tuple[str, float]]:
    bounds = (*BUCKETS_S, float("inf"))
    below = np.searchsorted(took_s, bounds, side="right").tolist()
    return list(zip(map(floatToGoString, bounds), below, strict=True))


def _sum_s(took_s: NDArray[np.float64]) -> float | None:
    return float(took_s.sum()) if took_s[0] >= 0 else None


def openmetrics(run: Run, choice: Choice) -> Iterator[str]:
    """
    Yield the text, up to and with `# EOF`.

    Raises:
        UsageError: As `deliveries`.
    """
    text: bytes = openmetrics_text(RunMetrics(run, choice))  # type: ignore[no-untyped-call] # it has no annotation
    yield text.decode()


def push(url: str, metrics: Collector) -> None:
    """
    Put metrics to a Pushgateway, in place of those that were there under the same address.

    Args:
        url: All of it, e.g. http://127.0.0.1:9091/metrics/job/poolrace; it may have a user and a password.
        metrics: What to put.

    Raises:
        UsageError: If it cannot be reached, or refuses; with its own words, and without the password. As `deliveries`
            if they are those of a run.
    """
    address = _address(url)
    shown = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    send = basic_auth_handler(
        shown,
        "PUT",
        PUSH_TIMEOUT_S,
        [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)],
        prometheus_text(metrics),
        username=address.username and unquote(address.username),
        password=unquote(address.password or ""),
    )
    try:
        send()
    except HTTPError as error:
        said = " ".join(error.read().decode(errors="replace").split())[:REASON_CHARACTERS]
        raise UsageError(
            f"--push {shown}: refused with {error.code} {error.reason}{f' ({said})' if said else ''}. Give the "
            f"address of a Pushgateway with its job, e.g. {EXAMPLE}."
        ) from error
    except (OSError, HTTPException) as error:
        raise UsageError(f"--push {shown}: cannot be reached ({error}). Is it the address, and does it run?") from error


def _address(url: str) -> SplitResult:
    """Take an address apart; refuse what is none."""
    try:
        parts = urlsplit(url)
        is_known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or a host that is none
        is_known = False
    if not is_known:
        raise UsageError(f"--push: must be an address that begins with http:// or https://, e.g. {EXAMPLE}.")
    return parts
