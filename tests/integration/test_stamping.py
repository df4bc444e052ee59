"""Real nodes of a foreign app, of both pools: each stamped job leaves the records that it should, and no other job."""

import os
import signal
import socket
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from integration.commands import until

from poolrace.contract import HELLO_COMMAND, SAMPLE_COMMAND, NodeSample, records_queue
from poolrace.machine_use import machine_use
from producer.fleet.control import Control
from producer.fleet.others import AttachedOthersMeter
from producer.fleet.queue_depth import waiting

INSTANTS = ("due_at", "sent_at", "received_at", "started_at", "finished_at")
SLOTS = 2


@pytest.fixture
def control(site):
    control = Control(site.app)
    yield control
    control.close()


def ends(records):
    return [(record["attempt"], record["outcome"], record["exception"]) for record in records]


def wait_for_jobs(folder, jobs):
    until(lambda: len(list(Path(folder).iterdir())) >= jobs)


# On both pools.


def test_a_record_tells_the_life_of_its_job(run, node):
    seqs = run.send("ok", jobs=30, trial=5)
    records = run.records(30)
    assert [record["seq"] for record in records] == seqs
    for record in records:
        for earlier, later in pairwise(INSTANTS):
            assert record[earlier] <= record[later], (earlier, later, record)
        assert record["cpu_s"] >= 0
        assert record["pid"] > 0
        assert record["thread_id"] > 0
        alike = ("trial", "lane", "node", "pool", "attempt", "redelivered", "gil", "outcome", "exception")
        assert {name: record[name] for name in alike} == {
            "trial": 5,
            "lane": "the lane",
            "node": f"{node.pool}@{socket.gethostname()}",
            "pool": node.pool,
            "attempt": 1,
            "redelivered": False,
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
            "outcome": "succeeded",
            "exception": None,
        }


def test_cpu_time_is_that_of_the_job(run):
    run.send("burn", 0.2)
    run.send("ok")
    burnt, idle = run.records(2)
    assert burnt["cpu_s"] >= 0.2
    assert burnt["finished_at"] - burnt["started_at"] >= 0.2
    assert idle["cpu_s"] < burnt["cpu_s"]


def test_slots_are_processes_on_prefork_and_threads_of_the_node_on_threads(run, node, tmp_path):
    run.send("meet", str(tmp_path), SLOTS, jobs=SLOTS)
    records = run.records(SLOTS)
    pids = {record["pid"] for record in records}
    assert len({record["thread_id"] for record in records}) == SLOTS
    if node.pool == "prefork":
        assert len(pids) == SLOTS
        assert node.child.process.pid not in pids
    else:
        assert pids == {node.child.process.pid}


def test_a_failure_is_recorded_with_its_exception(run):
    run.send("boom")
    (record,) = run.records(1)
    assert ends([record]) == [(1, "failed", "BoomError")]
    assert record["started_at"] <= record["finished_at"]


def test_a_job_that_wants_to_end_its_process_leaves_one_record(run):
    run.send("leave")
    run.records(1)
    run.send("ok", jobs=4)
    left, *others = run.records(5)
    assert ends([left]) == [(1, "failed", "SystemExit")]
    assert [record["seq"] for record in others] == [1, 2, 3, 4]


def test_every_attempt_of_a_retried_job_is_recorded_under_the_same_stamp(run):
    run.send("retry_twice")
    records = run.records(3)
    assert ends(records) == [(1, "retried", None), (2, "retried", None), (3, "succeeded", None)]
    assert len({(record["seq"], record["trial"], record["due_at"], record["sent_at"]) for record in records}) == 1
    for earlier, later in pairwise(records):
        assert earlier["started_at"] <= later["started_at"]
        assert earlier["received_at"] <= later["received_at"]


def test_a_job_that_was_revoked_before_it_came_is_recorded_and_never_started(run, node):
    revoked = run.job_id(0)
    assert run.app.control.revoke(revoked, destination=[node.name], reply=True, timeout=30, limit=1)
    run.send("ok", jobs=2)
    gone, done = run.records(2)
    assert ends([gone, done]) == [(1, "revoked", None), (1, "succeeded", None)]
    assert gone["started_at"] is None
    assert gone["finished_at"] is None
    assert gone["cpu_s"] is None
    assert gone["due_at"] <= gone["sent_at"] <= gone["received_at"]


def test_jobs_without_a_stamp_leave_no_record(run, node, tmp_path):
    run.app.send_task("foreign.touch", [str(tmp_path / "unstamped")], queue=node.queue)
    run.app.send_task("foreign.boom", queue=node.queue)
    until((tmp_path / "unstamped").exists)
    run.send("ok", jobs=10)
    assert [record["seq"] for record in run.records(10)] == list(range(10))


def test_a_foreign_header_of_the_same_name_harms_no_job(run, node, tmp_path):
    path = tmp_path / "strange"
    run.app.send_task("foreign.touch", [str(path)], queue=node.queue, headers={"poolrace": {"not": "a stamp"}})
    until(path.exists)
    run.send("ok")
    assert ends(run.records(1)) == [(1, "succeeded", None)]


def test_the_own_request_class_of_an_app_is_still_used_and_stamped(run):
    run.send("own_request")
    (record,) = run.records(1)
    assert ends([record]) == [(1, "succeeded", None)]
    assert record["sent_at"] <= record["received_at"] <= record["started_at"]


def test_hello_tells_what_a_node_is_and_runs_on(run, node, control):
    answer = control.hello(run.run_id, [node.name], 30)[node.name]
    assert set(answer) >= {
        "node", "pool", "concurrency", "pid", "queues", "prefetch_multiplier", "acks", "python", "gil", "poolrace",
        "celery", "kombu", "inert_settings", "transport",
    }  # fmt: skip
    assert (answer["node"], answer["pool"], answer["concurrency"]) == (node.name, node.pool, SLOTS)
    assert answer["queues"] == [node.queue]
    assert answer["pid"] == node.child.process.pid
    assert (answer["acks"], answer["transport"]) == ("early", "stock")
    assert (answer["reject_on_worker_lost"], answer["visibility_timeout_s"]) == (False, 3600)
    assert answer["life"] == control.hello(run.run_id, [node.name], 30)[node.name]["life"]


def test_sample_tells_what_a_node_has_used_but_not_its_memory(run, node, control):
    run.send("burn", 0.1)
    first = control.uses([node.name], 30)[node.name].sample
    run.records(1)
    second = control.uses([node.name], 30)[node.name].sample
    assert first.pss_bytes is None
    assert first.cpu_s > 0
    assert first.processes == (1 + SLOTS if node.pool == "prefork" else 1)
    assert first.threads >= first.processes
    assert second.at > first.at
    assert second.cpu_s >= first.cpu_s
    assert second.voluntary_switches >= first.voluntary_switches
    assert set(first.to_dict()) == set(NodeSample.__slots__)


def test_a_node_tells_what_all_of_its_machine_have_used(run, node, control):
    here, use = machine_use(), control.uses([node.name], 30)[node.name]
    assert (use.machine.machine, use.machine.cores) == (here.machine, here.cores)
    assert use.machine.busy_s >= max(here.busy_s, use.sample.cpu_s)


def test_what_another_program_uses_is_found_on_the_machine_of_a_node(node, control):
    """The other program is this one: what a run uses itself is taken off only on its own machine."""
    elsewhere = replace(machine_use(), machine="elsewhere")
    began_s, own_s = time.monotonic(), time.process_time()
    meter = AttachedOthersMeter(partial(control.uses, [node.name], 30), lambda: None, lambda: elsewhere)
    while time.process_time() < own_s + 0.5:
        pass
    (host,) = meter.hosts()
    assert host.nodes == (node.name,)
    assert host.others_cores * (time.monotonic() - began_s) >= 0.4  # the kernel counts in steps of 10 ms


def test_both_commands_are_known_by_the_names_in_the_contract(run, node):
    for command, arguments in ((HELLO_COMMAND, {"run_id": run.run_id}), (SAMPLE_COMMAND, {})):
        (answer,) = run.app.control.broadcast(
            command, arguments=arguments, destination=[node.name], reply=True, timeout=30, limit=1
        )
        assert "error" not in answer[node.name]


def test_a_node_that_was_greeted_sends_samples_and_memory_in_some(run, node, control):
    control.hello(run.run_id, [node.name], 30)
    samples = run.samples(lambda got: len(got) >= 3)
    assert {(sample["lane"], sample["node"]) for sample in samples} == {("the lane", node.name)}
    for earlier, later in pairwise(samples):
        assert earlier["at"] < later["at"]
        assert earlier["cpu_s"] <= later["cpu_s"]
    memory = [sample["pss_bytes"] for sample in samples]
    assert None in memory
    if Path("/proc/self/smaps_rollup").exists():
        assert any(memory)
    for sample in samples:
        assert (sample["private_bytes"] is None) == (sample["pss_bytes"] is None)
        assert (sample["private_bytes"] or 0) <= (sample["pss_bytes"] or 0)


def test_nothing_of_a_run_is_on_the_broker_once_its_collector_has_left(run_on, node):
    with run_on(node) as run:
        run.send("ok", jobs=10)
        run.records(10)
        keys = node.site.client.keys(f"*{run.run_id}*")
    assert node.site.client.keys(f"*{run.run_id}*") == [], keys
    assert not node.site.client.exists(records_queue(run.run_id))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "pool", "settings"),
    [
        ("leaver.prefork", "prefork", {}),
        ("leaver.spawn", "prefork", {"worker_pool_start_method": "spawn"}),
        ("leaver.threads", "threads", {}),
    ],
)
def test_a_node_that_ends_in_order_ships_all_its_records_first(site, run_on, tmp_path, name, pool, settings):
    node = site.start_node(name, pool, **settings)
    with run_on(node) as run:
        quick = run.send("ok", jobs=100)
        running = run.send("held", str(tmp_path), jobs=SLOTS)
        wait_for_jobs(tmp_path, SLOTS)
        behind = run.send("ok", jobs=5)
        os.kill(node.child.process.pid, signal.SIGTERM)
        until(lambda: "Warm shutdown" in node.log.read_text())
        (tmp_path / "go").touch()
        until(lambda: node.child.process.poll() is not None)
        left = waiting(run.app, [node.queue], run.run_id, 0)
        recorded = [record["seq"] for record in run.records(len(quick + running + behind) - len(left))]
    site.processes.stop(node.child)
    assert set(recorded) >= {*quick, *running}
    assert sorted(recorded + left) == quick + running + behind


# On prefork alone: a slot that cannot tell how its job ended.


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_a_killed_child_leaves_one_record_of_the_job_it_ran(prefork, run_on, signal_name):
    with run_on(prefork) as run:
        run.send("die", signal_name)
        run.records(1)
        run.send("ok", jobs=4)
        lost, *others = run.records(5)
    assert ends([lost]) == [(1, "failed", "WorkerLostError")]
    assert [record["seq"] for record in others] == [1, 2, 3, 4]
    assert {record["outcome"] for record in others} == {"succeeded"}
    assert lost["pid"] not in {prefork.child.process.pid, *(record["pid"] for record in others)}
    assert lost["thread_id"] == 0
    assert lost["cpu_s"] is None
    assert lost["received_at"] <= lost["started_at"] <= lost["finished_at"]


@pytest.mark.heavy
def test_a_hard_time_limit_leaves_one_record_of_its_job(prefork, run_on):
    with run_on(prefork) as run:
        run.send("too_long")
        run.records(1)
        run.send("ok", jobs=4)
        lost, *others = run.records(5)
    assert ends([lost]) == [(1, "failed", "TimeLimitExceeded")]
    assert [record["seq"] for record in others] == [1, 2, 3, 4]
    assert lost["finished_at"] - lost["started_at"] >= 1


def test_a_waiting_job_that_is_revoked_is_recorded_and_never_started(prefork, run_on, tmp_path):
    with run_on(prefork) as run:
        run.send("held", str(tmp_path), jobs=SLOTS)
        wait_for_jobs(tmp_path, SLOTS)
        run.send("ok")
        revoked = run.job_id(SLOTS)
        until(lambda: revoked in reserved(run.app, prefork))
        assert run.app.control.revoke(revoked, destination=[prefork.name], reply=True, timeout=30, limit=1)
        (tmp_path / "go").touch()
        *done, gone = run.records(SLOTS + 1)
    assert ends(done) == [(1, "succeeded", None)] * SLOTS
    assert ends([gone]) == [(1, "revoked", None)]
    assert gone["started_at"] is None


def test_a_running_job_that_is_terminated_leaves_one_record(prefork, run_on, tmp_path):
    with run_on(prefork) as run:
        run.send("held", str(tmp_path))
        wait_for_jobs(tmp_path, 1)
        run.app.control.revoke(
            run.job_id(0), terminate=True, destination=[prefork.name], reply=True, timeout=30, limit=1
        )
        run.records(1)
        run.send("ok", jobs=4)
        records = run.records(5)
    assert [(record["seq"], record["outcome"]) for record in records] == [
        (0, "revoked"), *((seq, "succeeded") for seq in range(1, 5)),
    ]  # fmt: skip


def reserved(app, node):
    answers = app.control.inspect(destination=[node.name], timeout=1).reserved() or {}
    return {job["id"] for job in answers.get(node.name, [])}


@pytest.mark.heavy
def test_children_that_were_spawned_not_forked_ship_their_records_too(site, run_on, tmp_path):
    node = site.start_node("spawned", "prefork", worker_pool_start_method="spawn")
    with run_on(node) as run:
        run.send("meet", str(tmp_path), SLOTS, jobs=SLOTS)
        run.send("boom")
        records = run.records(SLOTS + 1)
    children = {child.pid for child in psutil.Process(node.child.process.pid).children(recursive=True)}
    site.processes.stop(node.child)
    assert [record["outcome"] for record in records] == ["succeeded"] * SLOTS + ["failed"]
    assert len({record["pid"] for record in records[:SLOTS]}) == SLOTS
    assert {record["pid"] for record in records} <= children
    assert {(record["node"], record["pool"], record["lane"]) for record in records} == {
        (node.name, "prefork", "the lane")
    }
    for record in records:
        for earlier, later in pairwise(INSTANTS):
            assert record[earlier] <= record[later], (earlier, later, record)
