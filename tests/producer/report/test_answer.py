"""What the report says of a user's app: what was known before, and at its end what to run."""

from dataclasses import replace

import pytest
from nouns import facts_of
from recorded import LANES as ASKED

from producer.analysis.answer import Answer
from producer.analysis.slowed import Apart, Slowed
from producer.analysis.summary import summarise
from producer.report.answer import answer_parts, app_parts, jobs, mix_parts, pools, settings_given_up
from producer.report.document import document
from producer.rundir.reader import read_run

MIB = 2**20
APP = {
    "app": "shop.celery:app",
    "folder": "shop",
    "shares": {"sleep": 1.0},
    "timeout_s": 60.0,
    "facts": {
        "inert": {"threads": ["task_time_limit = 30 is ignored silently."]}, "hazards": {"prefork": ["torch: x"]},
        "globals": ["shop.count writes the global shop.SEEN"], "broker_scheme": "amqp", "backend_scheme": "",
        "queues": ["images", "letters"],
        "default_queue": "celery",
    },
    "backend": "none, as in the app's settings",
}  # fmt: skip


LANES = [facts_of(lane) for lane in ASKED]


def answer(workload="resize", **changes):
    known = Answer(
        workload=workload, share=0.25, cpu_share={"prefork": 0.875, "threads": None}, started_per_job=1.5,
        lane="threads", why="half of the memory", sure="threads, settled: threads does 1.7 to 2.3 times as many",
        pool="threads", concurrency=8, prefetch=2, transport="stock", memory_bytes=80 * MIB, capacity_per_s=1234.5,
        rate_per_s=71.0, p99_s=0.25, nodes=2, command=f"celery worker # {workload}",
        compose=f"worker-threads:\n  # {workload}",
    )  # fmt: skip
    return replace(known, **changes)


def undecided(workload="mix"):
    return Answer(
        workload=workload,
        share=None,
        cpu_share={"prefork": 0.875, "threads": None},
        started_per_job=1.5,
        lane=None,
        why="any lane may do 60 % less",
        sure="open: it may be either",
        advice="Take the race on",
    )


@pytest.fixture
def summary_of(run_maker):
    """A summary with some answers, of an app or of the demonstration's jobs."""

    def summary(*answers, lanes=LANES, app=APP):
        found = summarise(read_run(run_maker(settings={"app": app})))
        return replace(found, answers=answers, lanes=tuple(lanes))

    return summary


def slowed(**changes):
    known = Slowed(
        lane="threads", task="fetch", percentile="p50", alone_s=0.0077, mixed_s=0.02, times_low=1.7, times_high=3.6,
        longer="node", by="shrink", by_share=0.99,
    )  # fmt: skip
    return replace(known, **changes)


def apart(**changes):
    known = Apart(
        lane="threads", task="fetch", taken_by="threads", percentile="p50", together_s=0.02, apart_s=0.008,
        times_low=0.3, times_high=0.6,
    )  # fmt: skip
    return replace(known, **changes)


def mix_lines(summary_of, *slowed, apart=()):
    (prose,) = mix_parts(replace(summary_of(answer()), slowed=slowed, apart=tuple(apart)))
    return prose.lines


def titles(parts):
    return [part.title.partition(":")[0] for part in parts]


def test_a_task_is_described_in_a_row():
    table = jobs([answer(), answer("mix", share=None, started_per_job=0.0)], ["prefork", "threads"])
    assert table.columns == ["task", "of all jobs", "starts", "prefork", "threads"]
    assert table.rows == [["resize", "25 %", "1.50", "88 %", "-"], ["mix", "-", "0", "88 %", "-"]]


def test_an_answer_is_a_row():
    (row,) = pools([answer()]).rows
    assert row == ["resize", "threads", "8", "2", "1,234", "71.0", "250", "80.0 MiB", "2"]


def test_where_the_run_chose_the_rate_itself_nobody_counts_nodes():
    table = pools([answer(nodes=None), answer("mix", nodes=None)])
    assert "nodes" not in table.columns
    assert "Nodes" not in table.note
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_what_is_not_known_is_a_dash():
    unknown = dict.fromkeys(("memory_bytes", "capacity_per_s", "rate_per_s", "p99_s", "nodes"))
    row, _ = pools([answer(**unknown), answer()]).rows
    assert row == ["resize", "threads", "8", "2", "-", "-", "-", "-", "-"]


def test_a_task_without_a_lane_has_no_row_but_a_sentence(summary_of):
    parts = list(answer_parts(summary_of(answer(), undecided())))
    assert [row[0] for row in parts[1].rows] == ["resize"]
    assert parts[2].title == "No pool yet"
    assert parts[2].lines == ["mix: any lane may do 60 % less. Take the race on."]


def test_where_no_task_has_a_lane_there_is_no_table_of_dashes(summary_of):
    parts = list(answer_parts(summary_of(undecided("resize"), undecided())))
    assert titles(parts) == ["The tasks", "No pool yet", "Confidence"]
    assert parts[1].lines == ["resize, mix: any lane may do 60 % less. Take the race on."]


def test_the_lines_to_copy_are_those_for_all_tasks_together(summary_of):
    parts = list(answer_parts(summary_of(answer(), answer("mix"))))
    assert titles(parts)[3:] == ["The service of a worker, in a compose file"]
    assert parts[3].commands == ["worker-threads:", "  # mix"]


def test_each_answer_says_how_sure_it_is(summary_of):
    parts = list(answer_parts(summary_of(answer(), undecided())))
    assert parts[3].lines == [
        "resize: threads, settled: threads does 1.7 to 2.3 times as many.",
        "mix: open: it may be either.",
    ]


def test_without_an_answer_for_all_together_there_is_nothing_to_copy(summary_of):
    assert titles(answer_parts(summary_of(answer(), undecided())))[-1] == "Confidence"


def test_settings_that_a_pool_ignores_are_given_up_with_it(summary_of):
    summary = summary_of(answer())
    assert settings_given_up(summary, "threads") == ["your setting task_time_limit = 30 is ignored silently"]
    assert settings_given_up(summary, "prefork") == []
    assert settings_given_up(replace(summary, settings=replace(summary.settings, app=None)), "threads") == []


def test_what_was_known_of_the_app_comes_first_for_its_pools_only(summary_of):
    (prose,) = app_parts(summary_of(lanes=LANES[1:] * 2))
    assert prose.title == "The app shop.celery:app"
    assert prose.lines == [
        "The broker of its settings (amqp) is left alone; it runs on the run's own.",
        "Results: none, as in the app's settings.",
        "Each of its queues (celery, images, letters) has a counterpart on each lane; no job leaves the lane.",
        "On threads, the app's setting task_time_limit = 30 is ignored silently.",
        "shop.count writes the global shop.SEEN.",
    ]


@pytest.mark.parametrize("parts", [app_parts, answer_parts])
def test_the_demonstrations_jobs_have_neither(parts, summary_of):
    assert list(parts(summary_of(app=None))) == []


def test_a_report_of_an_app_has_both_and_one_of_the_demonstration_none(run_maker):
    ours = {"The app shop.celery", "The tasks", "The answer", "Confidence"}
    assert ours <= set(titles(document(summarise(read_run(run_maker("own", settings={"app": APP}))))))
    assert ours.isdisjoint(titles(document(summarise(read_run(run_maker("demonstration"))))))


def test_a_task_that_its_company_slows_is_told_with_the_one_to_blame_and_what_to_try(summary_of):
    line, advice = mix_lines(summary_of, slowed())
    assert line == (
        "fetch on threads: p50 20.0 ms, not 7.70 (1.70 to 3.60 times): it waits although a slot is free, and shrink "
        "takes 99 % of the CPU time."
    )
    assert "--apart TASK=LANE" in advice


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"longer": "run"}, ": it runs longer, and shrink takes 99 % of the CPU time."),
        ({"longer": "slot"}, ": it waits for a slot, and shrink takes 99 % of the time in slots."),
        ({"by": None, "by_share": None}, ": it waits although a slot is free."),
        ({"times_high": None}, "(over 1.70 times)"),
    ],
)
def test_what_takes_longer_is_said_and_what_is_not_known_is_not(summary_of, changes, said):
    assert said in mix_lines(summary_of, slowed(**changes))[0]


def test_what_was_measured_apart_takes_the_place_of_the_advice(summary_of):
    (line,) = mix_lines(summary_of, slowed(), apart=[apart(), apart(task="shrink", taken_by="prefork")])
    assert "not 7.70 (1.70 to 3.60 times); 8.00 apart: it waits" in line


def test_another_percentile_apart_is_not_put_beside_it(summary_of):
    assert "apart" not in mix_lines(summary_of, slowed(), apart=[apart(percentile="p90")])[0]


def test_a_mix_that_hurts_nobody_is_not_mentioned(summary_of):
    assert list(mix_parts(replace(summary_of(answer()), apart=(apart(),)))) == []


def test_the_whole_report_has_every_task_together_and_apart(summary_of):
    found = (apart(), apart(task="shrink", taken_by="prefork", times_low=None))
    parts = list(answer_parts(replace(summary_of(answer()), apart=found)))
    (table,) = [part for part in parts if part.title.startswith("Apart")]
    assert table.rows == [
        ["fetch", "threads", "threads", "p50", "20.0", "8.00", "0.3 to 0.6"],
        ["shrink", "threads", "prefork", "p50", "20.0", "8.00", "-"],
    ]
