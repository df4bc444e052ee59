"""The OpenMetrics text: what its own parser reads is what was recorded; and a Pushgateway gets it, or says why not."""

import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import polars as pl
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus
from recorded import recorded
from sample_run import make_run

from producer.errors import UsageError
from producer.report.export.openmetrics import RunMetrics, openmetrics, push
from producer.report.export.rows import Choice
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind

PREFORK = {"lane": "prefork", "workload": "sleep", "kind": "latency"}


@pytest.fixture
def race(tmp_path):
    return read_run(make_run(tmp_path, pairs=1))


@pytest.fixture
def load(race):
    """The same jobs as a load on each lane."""
    trials = [replace(trial, kind=Kind.LOAD, planned_s=1.0) for trial in race.trials[:2]]
    return replace(race, trials=trials, manifest=replace(race.manifest, settings=recorded(kind="load")))


def samples_of(run, choice=None):
    """Every sample by name and labels, as the format's own parser reads it."""
    return samples_in(read_openmetrics("".join(openmetrics(run, choice or Choice()))))


def samples_in(families):
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def key(name, **labels):
    return f"poolrace_run_{name}", frozenset(labels.items())


@contextmanager
def gateway(status, said=b""):
    """A server that answers every PUT alike; gives its address and what was put."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            got.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def test_jobs_are_counted_by_lane_workload_kind_and_outcome(race):
    records = race.records.with_columns(
        outcome=pl.when(pl.col("seq") < 3).then(pl.lit("failed")).otherwise(pl.col("outcome"))
    )
    found = samples_of(replace(race, records=records))
    assert found[key("jobs_total", **PREFORK, outcome="failed")] == 3
    assert found[key("jobs_total", **PREFORK, outcome="succeeded")] == 9


def test_jobs_of_a_lead_in_are_counted_and_in_no_histogram(race):
    trials = [replace(trial, lead_in_s=0.5 if trial.kind is Kind.LATENCY else 0.0) for trial in race.trials]
    found = samples_of(replace(race, trials=trials))
    held = {**PREFORK, "kind": "latency"}
    assert found[key("jobs_total", **held, outcome="succeeded")] == 12
    assert key("sojourn_seconds_count", **held) not in found


def test_a_histogram_counts_what_took_at_most_so_long(race):
    # Two jobs end after each of 100.05, 200.05, … 600.05 ms; the added shift keeps them off the bounds.
    shifted = race.records.with_columns(pl.col("started_at", "finished_at") + 0.00005)
    found = samples_of(replace(race, records=shifted))
    for bound, jobs in {"0.05": 0, "0.1": 0, "0.25": 4, "0.5": 8, "1.0": 12, "+Inf": 12}.items():
        assert found[key("sojourn_seconds_bucket", **PREFORK, le=bound)] == jobs
    assert found[key("sojourn_seconds_count", **PREFORK)] == 12
    assert found[key("sojourn_seconds_sum", **PREFORK)] == pytest.approx(2 * 2.1003, abs=1e-5)
    assert found[key("queue_wait_seconds_sum", **PREFORK)] == pytest.approx(2 * 1.5003, abs=1e-5)


def test_waits_below_zero_stay_and_no_sum_is_told_of_them(race):
    before = replace(race, records=race.records.with_columns(started_at=pl.col("sent_at") - 0.001))
    found = samples_of(before)
    assert found[key("queue_wait_seconds_bucket", **PREFORK, le="0.001")] == 12
    assert key("queue_wait_seconds_sum", **PREFORK) not in found
    assert key("sojourn_seconds_sum", **PREFORK) in found


def test_memory_is_that_of_a_lane_by_its_slots(race):
    found = samples_of(race)
    assert found[key("memory_per_slot_bytes", lane="threads")] == 25 << 20
    assert key("offered_jobs_per_second", lane="threads") not in found  # a race offers no one rate


def test_a_load_has_its_rates(load):
    found = samples_of(load)
    assert found[key("offered_jobs_per_second", lane="threads")] == pytest.approx(12.0)
    assert found[key("finished_jobs_per_second", lane="prefork")] == pytest.approx(12.0)
    chosen = samples_of(load, Choice(lane="threads"))
    assert key("offered_jobs_per_second", lane="prefork") not in chosen


def test_a_label_may_hold_anything(race):
    odd = 'a "quoted"\\name\nof two lines'
    run = replace(race, trials=[replace(trial, workload=odd) for trial in race.trials])
    assert key("jobs_total", lane="prefork", kind="latency", workload=odd, outcome="succeeded") in samples_of(run)


def test_the_text_ends_as_the_format_demands(race):
    assert "".join(openmetrics(race, Choice())).endswith("\n# EOF\n")


@pytest.fixture
def metrics(race):
    return RunMetrics(race, Choice())


def test_a_push_puts_the_same_samples_under_its_address_as_text_that_every_gateway_reads(race, metrics):
    with gateway(200) as (address, got):
        push(f"http://someone:s%40cret@{address}/metrics/job/poolrace/run/1a", metrics)
    ((path, headers, body),) = got
    assert path == "/metrics/job/poolrace/run/1a"
    assert samples_in(read_prometheus(body.decode())) == samples_of(race)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["Authorization"] == "Basic c29tZW9uZTpzQGNyZXQ="  # someone:s@cret


def test_a_push_without_a_user_sends_none(metrics):
    with gateway(200) as (address, got):
        push(f"http://{address}/metrics/job/poolrace", metrics)
    assert "Authorization" not in got[0][1]


def test_a_refused_push_says_what_the_gateway_said_and_no_password(metrics):
    with gateway(400, b"text format\nparsing error") as (address, _), pytest.raises(UsageError) as refused:
        push(f"http://someone:secret@{address}/metrics", metrics)
    assert "refused with 400 Bad Request (text format parsing error)" in str(refused.value)
    assert "/metrics/job/poolrace" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_redirection_is_a_refusal_too(metrics):
    with gateway(302) as (address, _), pytest.raises(UsageError, match="refused with 302"):
        push(f"http://{address}/metrics/job/poolrace", metrics)


def test_a_gateway_that_is_not_there_is_told(metrics):
    with gateway(200) as (address, _):
        pass
    with pytest.raises(UsageError, match="cannot be reached") as refused:
        push(f"http://someone:secret@{address}/metrics/job/poolrace", metrics)
    assert "secret" not in str(refused.value)


def test_a_wrong_choice_is_told_before_anything_is_sent(race):
    with gateway(200) as (address, got), pytest.raises(UsageError, match="--lane fibres: the run has none of it"):
        push(f"http://{address}/metrics/job/poolrace", RunMetrics(race, Choice(lane="fibres")))
    assert got == []


@pytest.mark.parametrize(
    "url", ["", "gateway:9091", "ftp://host/x", "http://", "http://[::1", "http://h:99999/x", "/metrics/job/x"]
)
def test_what_is_no_address_is_refused_with_one_that_is(url, metrics):
    with pytest.raises(UsageError, match="must be an address that begins with http"):
        push(url, metrics)
