"""Lanes with different transports: each node really runs that of its lane, and every job is told of."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from integration.commands import assert_through, load, only_run, race
from redis import Redis

from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes

APPS = Path(__file__).parents[1] / "apps"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
TWINS = ("--lane", "threads:2", "--lane", "threads:2:transport=atomic", "--acks", "late", "--pairs", "1")
ONCE = ("--concurrency", "2", "--pairs", "1", "--duration", "0.1s", "--utilisation", "0.2")


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A small race of two lanes that differ in transport alone; its run directory, and what its broker was asked."""
    tmp_path = tmp_path_factory.mktemp("race")
    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        code, _, err = race(tmp_path, *TWINS, "--broker", broker.url, "--start-nodes")
        assert_through(tmp_path, code, err)
        with Redis.from_url(broker.url) as client:
            asked = {name.removeprefix("cmdstat_"): told["calls"] for name, told in client.info("commandstats").items()}
    return only_run(tmp_path), asked


def test_the_node_of_each_lane_runs_its_transport_by_its_own_word_and_by_the_brokers(raced):
    run, asked = raced
    nodes = load(run / "manifest.json")["nodes"]
    assert {node["lane"]: node["hello"]["transport"] for node in nodes} == {
        "threads": "stock",
        "threads-atomic": "atomic",
    }
    # The one waits with BRPOP; the other is told of changes, and takes with a script.
    assert min(asked[command] for command in ("brpop", "client|tracking", "evalsha")) > 0


def test_every_job_of_both_lanes_is_done_and_has_its_record(raced):
    run, _ = raced
    summary = load(run / "summary.json")
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 0
    lane_of = {
        trial["trial"]: trial["lane"] for trial in map(json.loads, (run / "trials.jsonl").read_text().splitlines())
    }
    told = pl.read_parquet(run / "records" / "*.parquet").select("lane", "trial", "seq")
    sent = pl.read_parquet(run / "sent" / "*.parquet").select("trial", "seq")
    due = {(lane_of[trial], trial, seq) for trial, seq in sent.iter_rows()}
    assert set(told.iter_rows()) == due
    assert {lane for lane, _, _ in due} == {"threads", "threads-atomic"}


def test_the_report_says_which_lane_is_atomic(raced):
    text = (raced[0] / "report.md").read_text()
    assert "against threads-atomic (2 slots, prefetch 4, acks late, atomic transport)" in text


@pytest.mark.heavy
def test_an_app_is_raced_on_the_transport_of_each_lane_whatever_it_says_itself(tmp_path):
    done = subprocess.run(
        [
            POOLRACE, "race", "--app", "switched:app", "--task", "switched.nothing", *ONCE, "--lane", "threads:2",
            "--lane", "threads:2:transport=stock", "--out", str(tmp_path), "--json",
        ],
        cwd=APPS / "switched", capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr
    summary = json.loads(done.stdout)
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 0
    told = {lane["key"]: lane["hello"]["transport"] for lane in summary["lanes"]}
    assert told == {"threads-atomic": "atomic", "threads": "stock"}


@pytest.mark.heavy
def test_a_node_that_runs_another_transport_than_its_lane_ends_the_race(tmp_path):
    done = subprocess.run(
        [
            POOLRACE, "race", "--app", "stubborn:app", "--task", "stubborn.nothing", *ONCE, "--lane",
            "threads:2:transport=atomic", "--lane", "prefork:2", "--out", str(tmp_path),
        ],
        cwd=APPS / "switched", capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "runs the stock transport, and its lane is atomic. Remove broker_transport from its app" in done.stderr
