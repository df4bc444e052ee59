"""What drills found: on a terminal, as a matrix, as JSON, as JUnit and on a page."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from producer.analysis.drill import CellResult, Fate, HeldUp, JobFate, Run, SeenNode, toll_of
from producer.analysis.features import Tried
from producer.measure.drill import catalogue, find
from producer.report.drills import DrillsRun, contents, contents_on_others, drill, features, matrix, run_of, to_json
from producer.report.drills_page import drills_page, write_drills
from producer.report.junit import drills_as_junit
from producer.report.parts import Table
from producer.report.terminal import console_for, show_parts

FOLDER = Path("2026-01-31T12-00-00Z-drills")


def fates(**counts: int) -> list[JobFate]:
    return [
        JobFate(job=f"{name}-{number}", fate=Fate(name), runs=1, effects=1)
        for name, count in counts.items()
        for number in range(count)
    ]


def result(cell: str, *, short: str = "", twice: int = 0, **counts: int) -> CellResult:
    again = [JobFate(job="x", fate=Fate.DONE, runs=2, effects=2, explained_by="node killed")] * twice
    return CellResult(
        drill="node-kill",
        cell=cell,
        toll=toll_of([*fates(**counts), *again]),
        short=[short] if short else [],
        resumed_s=1.5,
        settled_s=4.0,
        struck=[("node <killed>", 0.5)],
        runs=[
            Run(slot="node-1 7/7", job="done-0", begin_s=0.0, end_s=0.1),
            Run(slot="node-1 7/7", job="x", begin_s=0.2, end_s=None),
            Run(slot="node-2 8/8", job="x", begin_s=1.0, end_s=1.1),
        ],
        said=["Connection to <broker> lost"],
    )


LOST = result("prefork-early-stock", done=97, lost=3, short="3 jobs lost, at most 2 may")
GOOD = result("threads-safe", done=98, twice=2)
SKIPPED = CellResult(drill="child-kill", cell="threads-safe", skipped="no slot of this pool is a process")


@pytest.fixture
def run() -> DrillsRun:
    return run_of([LOST, GOOD, SKIPPED], FOLDER, 20.04)


def shown(parts: object) -> str:
    stream = StringIO()
    show_parts(parts, console_for(stream, 160))  # type: ignore[arg-type]
    return stream.getvalue()


def test_each_cell_has_a_row_with_what_was_lost_and_the_share_that_is_not_exceeded() -> None:
    entry = find("node-kill")
    assert entry is not None
    text = shown(drill(entry, [LOST, GOOD]))
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith(("prefork", "threads"))}
    assert "3 (below 7.3 %)" in rows["prefork-early-stock"]
    assert "3 jobs lost, at most 2 may" in rows["prefork-early-stock"]
    assert "0 (below 3.0 %)" in rows["threads-safe"]
    assert rows["threads-safe"].rstrip().endswith("yes")
    assert "acks_late" in text
    assert "Connection to <broker> lost" in text


def test_repeats_are_one_row_that_says_in_how_many_all_was_as_expected() -> None:
    entry = find("node-kill")
    assert entry is not None
    bad = replace(GOOD, short=["1 jobs lost, at most 0 may"])
    (found,) = run_of([GOOD, bad, GOOD], FOLDER, 1.0).results
    (row,) = [line for line in shown(drill(entry, [found])).splitlines() if line.startswith("threads-safe")]
    assert row.split()[1] == "300"
    assert row.rstrip().endswith("2 of 3; 1 jobs lost, at most 0 may (in 1 of 3)")
    (good,) = run_of([GOOD] * 20, FOLDER, 1.0).results
    assert "20 of 20" in shown(drill(entry, [good]))


def test_neighbours_are_told_of_drills_in_which_a_job_does_the_harm() -> None:
    entry = find("job-crash")
    assert entry is not None
    hurt = replace(GOOD, toll=toll_of(fates(done=8, lost=3), harmful={"lost-0"}))
    assert "neighbours hurt" not in shown(drill(entry, [GOOD]))
    (row,) = [line for line in shown(drill(entry, [hurt])).splitlines() if line.startswith("threads-safe")]
    assert row.split()[-7:-5] == ["0", "2"]  # ran again, neighbours hurt


def test_nodes_that_ended_by_themselves_are_counted_by_how_they_ended() -> None:
    entry = find("node-kill")
    assert entry is not None
    ended = [f"node-{number}@drill ended by itself with signal SIGSEGV" for number in (1, 2)]
    text = shown(drill(entry, [replace(GOOD, ended=[*ended, "node-3@drill ended by itself with exit code 1"])]))
    assert "threads-safe: 2 nodes ended by themselves with signal SIGSEGV." in text
    assert "threads-safe: 1 node ended by itself with exit code 1." in text


def test_the_matrix_has_a_table_a_pool_a_row_a_drill_and_marks_what_costs_more_than_it_may(run: DrillsRun) -> None:
    prefork, threads, unexpected = matrix(run)
    assert isinstance(threads, Table)
    assert isinstance(prefork, Table)
    assert (prefork.columns, threads.columns) == (["", "early-stock"], ["", "safe"])
    assert prefork.rows == [["node-kill", "3 lost !"]]
    assert threads.rows == [["child-kill", "-"], ["node-kill", "2 again"]]
    assert unexpected.lines == ["node-kill, prefork-early-stock: 3 jobs lost, at most 2 may."]  # type: ignore[union-attr]
    assert not run.as_expected


def test_json_reads_back_as_the_same(run: DrillsRun) -> None:
    assert to_json(msgspec.json.decode(to_json(run), type=DrillsRun)) == to_json(run)


def test_junit_has_a_test_for_each_cell_with_its_failure(run: DrillsRun) -> None:
    suite = ET.fromstring(drills_as_junit(run))
    tests = {(each.get("classname"), each.get("name")): each for each in suite}
    failure = tests["poolrace.drill.prefork-early-stock", "node-kill"].find("failure")
    assert failure is not None
    assert failure.get("message") == "3 jobs lost, at most 2 may"
    assert tests["poolrace.drill.threads-safe", "child-kill"].find("skipped") is not None
    assert list(tests["poolrace.drill.threads-safe", "node-kill"]) == []
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")


def test_the_page_draws_what_ran_where_and_escapes_what_it_did_not_write(run: DrillsRun, tmp_path: Path) -> None:
    write_drills(run, tmp_path)
    page = (tmp_path / "drills.html").read_text()
    assert page == drills_page(run)
    assert page.count("<svg") == 2
    assert "<title>node &lt;killed&gt;</title>" in page
    assert "Connection to &lt;broker&gt; lost" in page
    assert "<script" not in page


def test_the_list_has_every_drill() -> None:
    text = shown(contents())
    assert "node-kill" in text
    assert "poolrace drill node-kill" in text


def test_a_feature_that_is_not_as_it_is_said_is_marked_and_told() -> None:
    table, wrong = features([
        Tried(pool="prefork", feature="autoscale", happens=True),
        Tried(pool="threads", feature="autoscale", happens=True),
    ])  # fmt: skip
    assert isinstance(table, Table)
    assert table.rows == [["autoscale", "works", "works !"]]
    assert wrong.lines == ["autoscale on threads: works here, does not by poolrace/pools.py"]  # type: ignore[union-attr]


def test_lost_jobs_are_told_by_the_transport_that_took_them_and_kills_by_what_was_killed() -> None:
    entry = find("mixed-kills")
    assert entry is not None
    toll = replace(toll_of(fates(done=98, lost=2), {"stock": 2}), sent=30_000, repeated=9, unexplained=4)
    struck = [("node killed", 1.0)] * 9 + [("broker killed", 2.0)] * 3
    text = shown(drill(entry, [replace(GOOD, drill="mixed-kills", toll=toll, struck=struck)]))
    assert "2 (2 by stock, below 0.02 %)" in text
    assert "9 (4 without a reason)" in text
    assert "threads-safe: 12 times: 9 node killed, 3 broker killed." in text


def test_a_node_that_hangs_is_named_and_marked_in_the_matrix() -> None:
    entry = find("broker-half-open")
    assert entry is not None
    hung = replace(GOOD, drill="broker-half-open", resumed_s=None, hanging=["node-1@drill"])
    assert "threads-safe: node-1@drill takes no job." in shown(drill(entry, [hung]))
    assert "2 again, hangs" in shown(matrix(run_of([hung], FOLDER, 1.0)))


ATTACHED = replace(
    result("threads-safe", done=98, twice=2),
    drill="own-fault",
    nodes=3,
    struck=[("docker kill x", 3.0), ("over", 4.5)],
    held_up=HeldUp(jobs=5, slowest_s=9.0, recovered_s=12.0),
    seen=[
        SeenNode(node="threads@node3-1", what="went", at_s=5.0),
        SeenNode(node="threads@node1-2", what="came", at_s=6.0),
        SeenNode(node="threads@node3-1", what="came back", at_s=30.0),
    ],
    told=[JobFate(job="x", fate=Fate.DONE, runs=2, effects=2, explained_by="threads@node3-1 went")] * 2,
)


def test_of_nodes_that_ran_already_it_tells_what_was_held_up_and_which_went_and_came() -> None:
    entry = find("own-fault")
    assert entry is not None
    text = shown(drill(entry, [ATTACHED]))
    (row,) = [line for line in text.splitlines() if line.startswith("threads-safe")]
    assert "12.0 s" in row
    assert "done after" not in text
    assert "docker kill x: 3.00 s after the load began" in text
    assert "threads@node3-1: went at 5.00 s, came back at 30.0 s" in text
    assert text.index("threads@node1-2: came") < text.index("threads@node3-1: went")
    assert "threads-safe: 2 by threads@node3-1 went" in text


def test_of_nodes_that_a_drill_started_nothing_of_that_is_told() -> None:
    entry = find("node-kill")
    assert entry is not None
    text = shown(drill(entry, [GOOD]))
    assert not any(word in text for word in ("held up", "What struck", "went and came", "Jobs that ran again"))
    assert "done after" in text


def test_a_fault_of_a_user_is_on_the_page_and_in_json_and_junit_as_all_others(tmp_path: Path) -> None:
    run = run_of([ATTACHED], FOLDER, 1.0)
    write_drills(run, tmp_path)
    assert "threads@node3-1: went" in (tmp_path / "drills.html").read_text()
    assert msgspec.json.decode(to_json(run), type=DrillsRun).results[0].seen == ATTACHED.seen
    assert b'name="own-fault"' in drills_as_junit(run)


def test_the_list_for_nodes_that_run_already_has_each_drill_once_with_what_it_does_or_why_it_does_not() -> None:
    done, left_out, _ = contents_on_others(lambda each: "" if each.name == "node-term" else "it needs more")
    assert isinstance(done, Table)
    assert isinstance(left_out, Table)
    assert [row[0] for row in done.rows] == ["node-term"]
    assert len(left_out.rows) == len(catalogue()) - 1
    assert {row[1] for row in left_out.rows} == {"it needs more"}
