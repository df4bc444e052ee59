"""A whole race on real parts: broker, publisher, nodes of both pools."""

import json
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import polars as pl
import pytest
from integration.commands import assert_through, load, only_run, poolrace, race


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """One small race that the tests below look at from several sides."""
    tmp_path = tmp_path_factory.mktemp("race")
    code, out, err = race(tmp_path)
    assert_through(tmp_path, code, err)
    return tmp_path, out, err


def test_a_race_ends_with_the_answer_and_its_run_directory_and_writes_all_figures(
    small: tuple[Path, str, str],
) -> None:
    tmp_path, out, _ = small
    assert "What to run" in out
    assert len(out.splitlines()) < 30
    assert only_run(tmp_path).name in out
    report = (only_run(tmp_path) / "report.md").read_text()
    for title in ("What to run", "Capacity: jobs per second", "Latency: from due to finished", "Verdict"):
        assert f"### {title}" in report
    assert "Capacity: jobs per second" not in out


def test_off_a_terminal_progress_is_plain_lines_on_standard_error(small: tuple[Path, str, str]) -> None:
    _, out, err = small
    assert "Measuring: 14 trials" in err
    assert "14/14 trials" in err
    assert "\x1b" not in out + err


def test_every_job_of_a_race_is_settled_and_the_lanes_did_the_same_work(small: tuple[Path, str, str]) -> None:
    summary = load(only_run(small[0]) / "summary.json")
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 0
    assert summary["unknown_records"] == 0
    (workload,) = summary["workloads"]
    a, b = workload["lanes"]
    assert a["settlement"] == b["settlement"]


def test_lanes_differ_in_the_pool_alone_and_nodes_are_named_after_it(small: tuple[Path, str, str]) -> None:
    manifest = load(only_run(small[0]) / "manifest.json")
    nodes = {node["lane"]: node["hello"] for node in manifest["nodes"]}
    assert [hello["node"].split("@")[0] for hello in nodes.values()] == ["prefork", "threads"]
    same = ("concurrency", "prefetch_multiplier", "acks", "python", "celery", "kombu")
    assert [nodes["prefork"][key] for key in same] == [nodes["threads"][key] for key in same]


def test_instants_of_every_record_are_in_order(small: tuple[Path, str, str]) -> None:
    records = pl.read_parquet(only_run(small[0]) / "records" / "*.parquet")
    instants = ["due_at", "sent_at", "received_at", "started_at", "finished_at"]
    for earlier, later in pairwise(instants):
        assert (records[later] >= records[earlier]).all(), (earlier, later)


def test_each_slot_of_prefork_is_a_process_and_each_slot_of_threads_a_thread(small: tuple[Path, str, str]) -> None:
    run = only_run(small[0])
    records = pl.read_parquet(run / "records" / "*.parquet")
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for start in (1, 2):
        measured = [each["trial"] for each in trials if each["start"] == start and each["kind"] != "warm-up"]
        of_start = records.filter(pl.col("trial").is_in(measured))
        slots = {
            lane: (part["pid"].n_unique(), part["thread_id"].n_unique())
            for (lane,), part in of_start.partition_by("lane", as_dict=True).items()
        }
        assert slots == {"prefork": (2, 2), "threads": (1, 2)}


def test_both_lanes_of_a_pair_get_the_same_arrivals_and_turns_alternate(small: tuple[Path, str, str]) -> None:
    run = only_run(small[0])
    sent = pl.read_parquet(run / "sent" / "*.parquet")
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for kind in ("capacity", "latency"):
        rounds = [list(each) for _, each in groupby((t for t in trials if t["kind"] == kind), key=itemgetter("round"))]
        whole = [pair for pair in rounds if len(pair) == 2]  # one that was disturbed ends early, and is run again
        assert len(whole) >= 2
        for first, second in whole:
            in_turn = ["prefork", "threads"] if first["round"] % 4 in {0, 3} else ["threads", "prefork"]
            assert [first["lane"], second["lane"]] == in_turn
            offsets = [
                [round(due - each["began_at"], 6) for due in sent.filter(pl.col("trial") == each["trial"])["due_at"]]
                for each in (first, second)
            ]
            assert offsets[0] == pytest.approx(offsets[1], abs=1e-5)


def test_report_recomputes_the_very_same_summary(small: tuple[Path, str, str], tmp_path: Path) -> None:
    run = only_run(small[0])
    before = load(run / "summary.json")
    (run / "summary.json").unlink()
    with poolrace(tmp_path, "report", "--json", str(run)) as command:
        code, out, err = command.finish()
    assert (code, err) == (0 if before["valid"] else 4, "")
    assert json.loads(out) == before == load(run / "summary.json")


def test_report_as_markdown_is_what_lies_in_the_run_directory(small: tuple[Path, str, str], tmp_path: Path) -> None:
    run = only_run(small[0])
    with poolrace(tmp_path, "report", "--markdown", str(run)) as command:
        _, out, _ = command.finish()
    assert out.strip() == (run / "report.md").read_text().strip()


@pytest.mark.heavy
def test_json_prints_the_summary_alone_and_variables_of_the_caller_lead_no_node_elsewhere(tmp_path: Path) -> None:
    elsewhere = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "POOLRACE_ACKS": "nonsense"}
    code, out, err = race(tmp_path, "--json", **elsewhere)
    assert_through(tmp_path, code, err)
    assert err == ""
    assert json.loads(out) == load(only_run(tmp_path) / "summary.json")


@pytest.mark.heavy
def test_a_race_like_an_earlier_one_can_be_compared_and_an_unlike_one_is_refused(
    small: tuple[Path, str, str], tmp_path: Path
) -> None:
    first = only_run(small[0])
    code, _, err = race(tmp_path, "--like", str(first), "--acks", "late")
    assert_through(tmp_path, code, err)
    with poolrace(tmp_path, "compare", str(first), str(only_run(tmp_path))) as command:
        code, _, err = command.finish()
    assert code == 2
    assert "lane prefork: acks" in err
    assert "lane threads: acks" in err
    with poolrace(tmp_path, "compare", str(first), str(first)) as command:
        code, out, err = command.finish()
    assert (code, err) == (0, "")
    assert "Second run over first" in out


@pytest.mark.heavy
def test_two_lanes_of_one_pool_race_as_twins_and_a_shared_broker_is_left_as_it_was(tmp_path: Path) -> None:
    from redis import Redis

    from producer.fleet.embedded import start_embedded
    from producer.fleet.processes import Processes

    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        with Redis.from_url(broker.url) as client:
            client.set("somebody-elses", "key")
            twins = ("--lane", "threads:2", "--lane", "threads:2")
            code, _, err = race(tmp_path, *twins, "--broker", broker.url, "--start-nodes")
            assert_through(tmp_path, code, err)
            # Celery's own: remote control, and kombu's note of when its reply queues expire.
            kept = (b"pidbox", b"_kombu.binding_deadlines")
            left = {key for key in client.scan_iter() if not any(name in key for name in kept)}
    assert left == {b"somebody-elses"}
    summary = load(only_run(tmp_path) / "summary.json")
    assert [lane["key"] for lane in summary["lanes"]] == ["threads", "threads-2"]
    assert [lane["hello"]["node"].split("@")[0] for lane in summary["lanes"]] == ["threads", "threads-2"]


@pytest.mark.heavy
def test_a_race_that_is_taken_on_has_an_upstream_and_a_relay_of_its_own(tmp_path: Path) -> None:
    """Their addresses are in logs that the earlier part wrote into, too."""
    words = ("--workload", "io", "--job-duration", "10ms", "--concurrency", "2", "--rtt", "5ms", "--duration", "0.3s")
    taken_on: tuple[str, ...] = ()
    sent = 0
    for pairs in ("1", "2"):
        with poolrace(
            tmp_path, "race", *words, "--pairs", pairs, "--out", str(tmp_path / "runs"), *taken_on
        ) as command:
            code, _, err = command.finish()
            command.assert_nothing_left()
        assert_through(tmp_path, code, err)
        run = only_run(tmp_path)
        summary = load(run / "summary.json")
        assert summary["settlement"]["done"] == summary["settlement"]["sent"] > sent
        assert [each["lane"] for each in summary["distances"]] == ["prefork", "threads"]
        assert all(each["ping_s"] >= 0.005 and each["chunks"] for each in summary["distances"])
        taken_on, sent = ("--continue", str(run)), summary["settlement"]["sent"]
