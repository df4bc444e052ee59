"""What a report of a soak says: whether each lane leaks, what to do, and what it costs to replace children."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jobs import a_job, a_run
from nouns import percentiles_of
from soaks import OPTIONS, a_process, table, trials_of

from producer.analysis.growth import Growing, Growth, Jump, TaskGrowth
from producer.analysis.soak import LaneSoak, Recycling, SoakSummary
from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.report.document import document
from producer.report.junit import as_junit
from producer.report.soak import advice

if TYPE_CHECKING:
    from producer.analysis.summary import Summary
    from producer.report.parts import Prose, Table

MIB, KIB = 2**20, 2**10
RECYCLING = Recycling(
    lane="prefork-recycled", jobs=100, replaced=12, capacity=0.9, capacity_low=0.85, capacity_high=0.95,
    kept=percentiles_of(0.1), recycled=percentiles_of(0.25),
)  # fmt: skip


def growth(mib_per_h: float, *, root: bool = False, what: str = "memory", **others: Any) -> Growth:
    """Return the growth of a process, with an interval of one to each side."""
    unit = MIB if what == "memory" else 1
    named = {
        "processes": 2, "first": 40.0 * unit, "last": 50.0 * unit, "low_per_h": (mib_per_h - 1) * unit,
        "high_per_h": (mib_per_h + 1) * unit, "growing": Growing.LEAK, **others,
    }  # fmt: skip
    return Growth(what=what, root=root, per_h=mib_per_h * unit, **named)


def lane(*growths: Growth, growing: Growing = Growing.LEAK, **others: Any) -> LaneSoak:
    """Return what was found on a lane."""
    named = {"worked_s": 300.0, "tasks": (), "jobs_per_h": 3600.0, "recycling": None, **others}
    return LaneSoak(lane="prefork", growing=growing, growths=growths, **named)


def summary_with(*lanes: LaneSoak) -> Summary:
    """Return the summary of a soak that found this."""
    trials = trials_of("threads")
    parts = [part for trial in trials for part in (trial, [a_job(seq * 0.5) for seq in range(trial.jobs)])]
    settings = {"kind": "soak", "lanes": parse_lanes(["threads:2"], least=1)}
    made = summarise(a_run(*parts, settings=settings, processes=table(a_process(10))))
    return replace(made, soak=SoakSummary(lanes=lanes)) if lanes else made


def parts_of(summary: Summary) -> dict[str, Table | Prose]:
    """Return the parts of its report by the first words of their titles."""
    return {part.title.partition(":")[0]: part for part in document(summary)}


def test_the_answer_is_whether_each_lane_leaks() -> None:
    found = parts_of(summary_with(lane(growth(60.0), growth(0.02, root=True, growing=Growing.NO_LEAK))))
    (row,) = found["Does it leak?"].rows  # type: ignore[union-attr]
    assert row[:4] == ["prefork", "leak", "0.0 [-1.0, 1.0] MiB", "+60 [+59, +61] MiB"]


def test_the_heading_says_what_was_done_and_for_how_long() -> None:
    first = document(summary_with())[0]
    assert first.title.startswith("Soak of ")
    assert "sleep for 5 minutes" in first.lines[0]  # type: ignore[union-attr]


def test_a_leak_is_told_by_the_day_with_its_task_and_the_limit_that_contains_it() -> None:
    tasks = (
        TaskGrowth(workload="clean", root=False, jobs=80, rounds=9, bytes_per_job=10.0, low=-90.0, high=110.0),
        TaskGrowth(workload="hardly", root=False, jobs=80, rounds=9, bytes_per_job=500.0, low=400.0, high=600.0),
        TaskGrowth(workload="other", root=True, jobs=80, rounds=9, bytes_per_job=90_000.0, low=8e4, high=1e5),
        TaskGrowth(
            workload="leaky", root=False, jobs=80, rounds=9, bytes_per_job=51_200.0, low=40_000.0, high=60_000.0
        ),
    )
    (said, _) = advice(lane(growth(60.0), tasks=tasks, recycling=RECYCLING), OPTIONS)
    # 60 MiB by 3,600 jobs an hour: 100 MiB are 6,000 jobs.
    assert said == (
        "prefork: each child gains 1,440 MiB of memory in a day of such work, by leaky (50.0 KiB a job). "
        "--max-tasks-per-child 6000 keeps it below 100 MiB until it is mended."
    )


def test_a_main_process_that_leaks_has_to_be_mended() -> None:
    (said,) = advice(lane(growth(60.0, root=True)), OPTIONS)
    assert "its main process gains 1,440 MiB of memory" in said
    assert said.endswith("It is never replaced: mend it, or restart the node in time.")


def test_files_that_stay_open_are_told_with_what_happens_in_the_end() -> None:
    (said,) = advice(lane(growth(30.0, what="files", root=True)), OPTIONS)
    assert said.startswith("prefork: its main process gains 720 open files in a day of such work. Find what is opened")


def test_no_leak_needs_nothing() -> None:
    steady = growth(0.1, growing=Growing.NO_LEAK)
    assert list(advice(lane(steady, growing=Growing.NO_LEAK), OPTIONS)) == [
        "prefork: no leak. Nothing has to be replaced or restarted because of it."
    ]


@pytest.mark.parametrize(
    ("growths", "said"),
    [
        ((growth(3.0, growing=Growing.UNKNOWN, needed_s=1_500.0),), "Soak longer: --for 25m would probably do."),
        ((growth(9.0, growing=Growing.UNKNOWN, slows=True),), "hardly at the end, as what fills a cache does."),
        ((), "no process was there from begin to end, or the system tells nothing of it."),
    ],
    ids=["too noisy", "it slows down", "nothing was followed"],
)
def test_what_cannot_be_said_is_told_with_what_would_help(growths: tuple[Growth, ...], said: str) -> None:
    (found,) = advice(lane(*growths, growing=Growing.UNKNOWN), OPTIONS)
    assert "cannot say" in found
    assert said in found


def jumping(*jumps: tuple[float, float], **others: Any) -> Growth:
    """Return what grew by so many MiB after so many minutes, and by a tenth in an hour besides."""
    told = tuple(Jump(process=0, after_s=60 * after, by=by * MIB) for after, by in jumps)
    named = {"jumps": told, "growing": Growing.UNKNOWN, "needed_s": 12_000.0, "low_per_h": None, **others}
    return growth(0.1, **named)


def test_a_growth_in_jumps_is_told_with_their_sizes_and_times_and_how_long_would_tell() -> None:
    found = jumping((33, 1.83), (45, 1.84), root=True)
    said, longer = advice(lane(found, growing=Growing.UNKNOWN), OPTIONS)
    assert said == (
        "prefork: cannot say: memory of the main process grew in 2 jumps, by 1.83 MiB after 33 and 1.84 MiB after 45 "
        "minutes of work, and besides by 0.1 MiB an hour."
    )
    assert longer == "prefork: jumps so few are no rate. If they go on, more than 3 are likely with --for 200m."


def test_of_many_jumps_the_largest_are_named() -> None:
    found = jumping((10, 1.0), (20, 3.0), (30, 2.0), (40, 4.0))
    (said, _) = advice(lane(found, growing=Growing.UNKNOWN), OPTIONS)
    assert (
        "memory of children grew in 4 jumps, the largest by 3.00 MiB after 20 and 2.00 MiB after 30 and 4.00 MiB after "
        "40 minutes of work"
    ) in said


def test_files_that_were_opened_at_once_are_told_whole() -> None:
    found = growth(0.0, what="files", root=True, growing=Growing.UNKNOWN, needed_s=4_000.0, low_per_h=None)
    found = replace(found, jumps=(Jump(process=0, after_s=240.0, by=3.0),))
    said = next(iter(advice(lane(found, growing=Growing.UNKNOWN), OPTIONS)))
    assert (
        "open files of the main process grew in 1 jump, by 3 after 4.0 minutes of work, and besides by 0.0 an" in said
    )


def test_tables_say_that_it_grew_in_jumps() -> None:
    found = parts_of(summary_with(lane(jumping((33, 1.83)), growing=Growing.UNKNOWN)))
    (row,) = found["Does it leak?"].rows  # type: ignore[union-attr]
    assert row[3] == "0.1 MiB, 1 jump"
    (row,) = found["Growth of a process in an hour of work"].rows  # type: ignore[union-attr]
    assert row[-2:] == ["0.1 MiB", "in 1 jump"]


def test_a_lane_of_which_nothing_can_be_said_is_a_skipped_test_with_the_reason() -> None:
    text = as_junit(summary_with(lane(jumping((33, 1.83)), growing=Growing.UNKNOWN))).decode()
    assert 'skipped="1"' in text
    assert '<skipped message="prefork: cannot say: memory of children grew in 1 jump, by 1.83 MiB after 33' in text
    assert 'failures="0"' in text


def test_the_price_of_replacement_is_throughput_and_p99() -> None:
    (_, said) = advice(lane(growth(60.0), recycling=RECYCLING), OPTIONS)
    assert said.startswith("prefork-recycled: a new child after 100 jobs leaves 90 % (85 to 95) of the throughput")
    assert "p99 of sojourn is 250 ms, and 100 without" in said


def test_children_that_were_never_replaced_have_no_price() -> None:
    none = replace(RECYCLING, replaced=0)
    (_, said) = advice(lane(growth(60.0), recycling=none), OPTIONS)
    assert said == "prefork-recycled: no child did 100 jobs, so none was replaced. Give fewer with --recycle."


def test_a_leak_is_a_failed_test_for_a_ci_server() -> None:
    text = as_junit(summary_with(lane(growth(60.0)))).decode()
    assert 'name="it does not leak"' in text
    assert "memory +60 [+59, +61] MiB an hour" in text


def test_a_soak_of_a_lane_that_does_not_leak_fits_a_screen() -> None:
    summary = summary_with()
    assert summary.soak is not None
    assert [each.growing for each in summary.soak.lanes] == [Growing.NO_LEAK]
    titles = [part.title for part in document(summary)]
    assert titles.index("Does it leak?") < titles.index("Growth of a process in an hour of work")
