"""
What a run found as OpenMetrics text, and its way to a Pushgateway.

The types are those that the older Prometheus text format has, too: a Pushgateway reads that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import make_headers, parse_url

from producer.analysis.load import load_lanes
from producer.analysis.memory import memory_per_slot_bytes
from producer.errors import UsageError
from producer.plan.stages import STAGES
from producer.report.export.rows import counted_jobs, counted_successes, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import polars as pl

    from producer.report.export.rows import Choice
    from producer.rundir.run import Run

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds; what took longer is in +Inf."""

BY = ("lane", "workload", "kind")
STRETCHES = {"sojourn": "From due to finished.", "queue_wait": "From sent to started."}
RATES = {"offered": "Jobs of the plan, over the time it takes.", "finished": "Jobs done, over that time or their own."}
PUSH_TIMEOUT_S = 10.0
REASON_CHARACTERS = 200


def openmetrics(run: Run, choice: Choice) -> Iterator[str]:
    """
    The text, a metric at a time, up to and with `# EOF`.

    Jobs are counted as in the report: without phases that do not count, unless `choice.warm_up`.

    Raises:
        UsageError: As `deliveries`.
    """
    successes = counted_successes(run, choice)  # first, so that a wrong choice is told before anything is written
    yield from _jobs(run, choice)
    for what, text in STRETCHES.items():
        yield from _histogram(successes, what, text)
    yield from _memory(run, choice)
    yield from _rates(run, choice)
    yield "# EOF\n"


def push(url: str, text: str) -> None:
    """
    Put the text to a Pushgateway, in place of what was there under the same address.

    Args:
        url: All of it, e.g. http://127.0.0.1:9091/metrics/job/poolrace; it may have a user and a password.
        text: What `openmetrics` gives.

    Raises:
        UsageError: If it cannot be reached, or refuses; with its own words, and without the password.
    """
    shown, headers = _address(url)
    try:
        with urllib3.PoolManager(retries=False, timeout=PUSH_TIMEOUT_S) as pool:
            answer = pool.request("PUT", shown, body=text.encode(), headers=headers)
    except HTTPError as error:
        raise UsageError(f"--push {shown}: cannot be reached ({error}). Is it the address, and does it run?") from error
    if not 200 <= answer.status < 300:
        said = " ".join(answer.data.decode(errors="replace").split())[:REASON_CHARACTERS]
        raise UsageError(
            f"--push {shown}: refused with {answer.status} {answer.reason}{f' ({said})' if said else ''}. Give the "
            "address of a Pushgateway with its job, e.g. http://127.0.0.1:9091/metrics/job/poolrace."
        )


def _address(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and headers with them."""
    try:
        parts = parse_url(url)
    except LocationParseError:
        parts = parse_url("")
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise UsageError(
            "--push: must be an address that begins with http:// or https://, e.g. "
            "http://127.0.0.1:9091/metrics/job/poolrace."
        )
    headers = make_headers(basic_auth=parts.auth) if parts.auth else {}
    return parts._replace(auth=None).url, {**headers, "Content-Type": CONTENT_TYPE}


def _jobs(run: Run, choice: Choice) -> Iterator[str]:
    """Deliveries by what became of them; a job that was retried has several."""
    yield from _head("poolrace_run_jobs", "counter", "Deliveries that came to an end.")
    ours = deliveries(run, choice).join(counted_jobs(run, choice), on=("trial", "seq"), how="semi")
    for row in ours.group_by(*BY, "outcome").len().sort(*BY, "outcome").iter_rows(named=True):
        yield _sample("poolrace_run_jobs_total", row, (*BY, "outcome"), row["len"])


def _histogram(successes: pl.DataFrame, what: str, text: str) -> Iterator[str]:
    """
    A histogram for each lane, workload and kind of trial.

    The format lets no sum be of values below zero, which clocks of two hosts can make; there it is left out, and the
    values are in the first bucket.
    """
    name = f"poolrace_run_{what}_seconds"
    yield from _head(name, "histogram", text, unit="seconds")
    timed = successes.with_columns(took_s=STAGES[what].took_s).drop_nulls("took_s")
    for (lane, workload, kind), group in sorted(timed.partition_by(BY, as_dict=True).items()):
        labels = {"lane": lane, "workload": workload, "kind": kind}
        took_s = np.sort(group["took_s"].to_numpy())
        for bound in (*BUCKETS_S, float("inf")):
            below = int(np.searchsorted(took_s, bound, side="right"))
            at = {**labels, "le": "+Inf" if bound == float("inf") else repr(bound)}
            yield _sample(f"{name}_bucket", at, at, below)
        if took_s[0] >= 0:
            yield _sample(f"{name}_count", labels, labels, len(took_s))
            yield _sample(f"{name}_sum", labels, labels, float(took_s.sum()))


def _memory(run: Run, choice: Choice) -> Iterator[str]:
    name = "poolrace_run_memory_per_slot_bytes"
    yield from _head(name, "gauge", "Memory (PSS) of a lane's nodes while it worked, by slot.", unit="bytes")
    trials = choice.trials(run)
    for lane in dict.fromkeys(trial.lane for trial in trials):
        windows = [(trial.began_at, trial.ended_at) for trial in trials if trial.lane == lane]
        slots = next(trial.slots for trial in trials if trial.lane == lane)
        found = memory_per_slot_bytes(run.samples, lane=lane, windows=windows, slots=slots)
        if found is not None:
            yield _sample(name, {"lane": lane}, ("lane",), found)


def _rates(run: Run, choice: Choice) -> Iterator[str]:
    """Of a load, as in its report: all workloads together, phases that count."""
    loads = [lane for lane in load_lanes(run) if choice.lane in {None, lane["lane"]}]
    for rate, text in RATES.items() if loads else ():
        name = f"poolrace_run_{rate}_jobs_per_second"
        yield from _head(name, "gauge", text)
        for lane in loads:
            yield _sample(name, lane, ("lane",), lane[f"{rate}_per_s"])


def _head(name: str, kind: str, text: str, unit: str | None = None) -> Iterator[str]:
    yield f"# TYPE {name} {kind}\n"
    if unit:
        yield f"# UNIT {name} {unit}\n"
    yield f"# HELP {name} {text}\n"


def _sample(name: str, row: Mapping[str, Any], labels: Iterable[str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(str(row[label]))}"' for label in labels)
    return f"{name}{{{inside}}} {value!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
