"""The exporter's figures: each counter and gauge by hand from what it was shown."""

import logging

import polars as pl
import pytest

from producer.fleet.attached import group
from producer.fleet.queue_depth import Depth
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA
from producer.stack.live_settings import LiveSettings
from producer.stack.metrics import Exporter

NODE = {"lane": "threads", "pool": "threads", "node": "threads@a"}
SETTINGS = LiveSettings(rate_per_s=2.0, mix={"cpu": 1.0})
NO_SAMPLES = pl.DataFrame(schema=SAMPLE_SCHEMA)
NO_RECORDS = pl.DataFrame(schema=RECORD_SCHEMA)


def hello(pool, slots):
    return {
        "pool": pool, "queues": [pool], "concurrency": slots, "prefetch_multiplier": 4, "acks": "early",
        "transport": "stock",
    }  # fmt: skip


HELLOS = {"prefork@a": hello("prefork", 4), "threads@a": hello("threads", 8), "threads@b": hello("threads", 8)}


class Shown:
    """An exporter with lanes, and a look at its figures."""

    def __init__(self):
        self.exporter = Exporter()
        self.find(HELLOS)

    def find(self, hellos):
        self.exporter.lanes({each.lane.key: each for each in group(hellos)}, hellos)

    def __call__(self, name, **labels):
        return self.exporter.registry.get_sample_value(f"poolrace_{name}", labels)


@pytest.fixture
def shown():
    return Shown()


def record(**changes):
    row = {
        "trial": 1, "seq": 0, "lane": "threads", "node": "threads@a", "pool": "threads", "due_at": 9.5, "sent_at": 10.0,
        "received_at": 10.5, "started_at": 11.0, "finished_at": 13.0, "attempt": 1, "outcome": "succeeded", **changes,
    }  # fmt: skip
    return pl.DataFrame([row], schema_overrides=RECORD_SCHEMA, schema=list(RECORD_SCHEMA))


def sample(**changes):
    row = {
        "lane": "threads", "node": "threads@a", "at": 1.0, "cpu_s": 5.0, "pss_bytes": 1000, "private_bytes": 600,
        "processes": 1, "threads": 9, **changes,
    }  # fmt: skip
    return pl.DataFrame([row], schema_overrides=SAMPLE_SCHEMA, schema=list(SAMPLE_SCHEMA))


def test_nodes_that_answer_have_their_slots_and_those_that_are_gone_have_none(shown):
    assert shown("slots", **NODE) == 8
    shown.exporter.records(NO_RECORDS, sample(), ["cpu", "io"])
    assert shown("node_pss_bytes", **NODE) == 1000
    shown.find({name: each for name, each in HELLOS.items() if name != "threads@a"})
    assert shown("slots", **NODE) is shown("node_pss_bytes", **NODE) is None
    assert shown("slots", lane="threads", pool="threads", node="threads@b") == 8


def test_jobs_sent_and_refused_are_counted_by_lane_and_workload(shown):
    shown.exporter.sent("threads", "cpu", 0.003)
    shown.exporter.sent("threads", "cpu", 0.2)
    shown.exporter.refused("threads", "io")
    assert shown("jobs_sent_total", lane="threads", workload="cpu") == 2
    assert shown("jobs_refused_total", lane="threads", workload="io") == 1
    assert shown("publish_lag_seconds_sum", lane="threads") == pytest.approx(0.203)
    assert shown("publish_lag_seconds_bucket", lane="threads", le="0.005") == 1


def test_messages_that_were_set_aside_are_counted_where_the_broker_can_be_asked(shown):
    shown.exporter.dead_letters(2)
    shown.exporter.dead_letters(None)
    assert shown("dead_letters") == 2


def test_a_job_that_ended_counts_its_stages(shown):
    shown.exporter.records(record(), NO_SAMPLES, ["cpu", "io"])
    assert shown("jobs_total", **NODE, workload="io", outcome="succeeded") == 1
    assert shown("slot_busy_seconds_total", **NODE) == 2.0  # finished - started: 13 - 11
    assert shown("queue_wait_seconds_sum", lane="threads", pool="threads") == 1.0  # started - sent: 11 - 10
    assert shown("sojourn_seconds_sum", lane="threads", pool="threads") == 3.5  # finished - due: 13 - 9.5


def test_a_job_that_never_began_counts_by_its_outcome_alone(shown):
    shown.exporter.records(record(started_at=None, finished_at=None, outcome="revoked"), NO_SAMPLES, ["cpu", "io"])
    assert shown("jobs_total", **NODE, workload="io", outcome="revoked") == 1
    assert shown("slot_busy_seconds_total", **NODE) is None
    assert shown("sojourn_seconds_count", lane="threads", pool="threads") is None


def test_clocks_that_disagree_by_more_than_a_job_took_do_not_count_backwards(shown):
    shown.exporter.records(record(finished_at=10.9), NO_SAMPLES, ["cpu", "io"])
    assert shown("slot_busy_seconds_total", **NODE) == 0


def test_cpu_time_counts_from_the_first_sample_and_from_nothing_after_a_restart(shown):
    for used_s, counted_s in ((5.0, 0.0), (7.0, 2.0), (7.0, 2.0), (1.5, 3.5), (2.0, 4.0)):
        shown.exporter.records(NO_RECORDS, sample(cpu_s=used_s), ["cpu", "io"])
        assert shown("node_cpu_seconds_total", **NODE) == counted_s


def test_a_sample_has_gauges_of_memory_processes_and_threads(shown):
    shown.exporter.records(NO_RECORDS, sample(private_bytes=None), ["cpu", "io"])
    names = ("node_pss_bytes", "node_private_bytes", "node_processes", "node_threads")
    assert [shown(name, **NODE) for name in names] == [1000, None, 1, 9]


def test_a_sample_of_a_node_that_is_in_no_lane_is_left_out(shown):
    shown.exporter.records(NO_RECORDS, sample(node="stranger@a"), ["cpu", "io"])
    assert shown("node_processes", **{**NODE, "node": "stranger@a"}) is None


def test_the_backlog_is_that_of_the_lanes_queue(shown):
    shown.exporter.backlog("threads", Depth(ready=7, unacked=3))
    shown.exporter.backlog("prefork", None)
    queue = {"lane": "threads", "pool": "threads", "queue": "threads"}
    assert [shown("backlog_jobs", **queue, state=state) for state in ("ready", "unacked")] == [7, 3]
    assert shown("backlog_jobs", lane="prefork", pool="prefork", queue="prefork", state="ready") is None


@pytest.mark.parametrize(("paused", "rate"), [(None, 2.0), ("user", 0.0), ("measurement", 0.0)])
def test_a_pause_has_its_reason_and_no_rate(shown, paused, rate):
    shown.exporter.settings(SETTINGS, paused)
    assert shown("live_rate", lane="threads") == rate
    reasons = {reason: shown("live_paused", reason=reason) for reason in ("user", "measurement", "broker")}
    assert reasons == {reason: float(reason == paused) for reason in reasons}


def test_a_change_is_said_once(shown, caplog):
    with caplog.at_level(logging.WARNING):
        for paused in (None, None, "user", "user", None):
            shown.exporter.settings(SETTINGS, paused)
        shown.exporter.trouble(OSError("gone"))
        shown.exporter.trouble(OSError("gone"))
    assert [text.split(":")[0] for text in caplog.messages] == [
        "Sending 2/s on each lane", "Paused (user)", "Sending 2/s on each lane", "Waiting for the broker",
    ]  # fmt: skip
    assert shown("live_paused", reason="broker") == 1
