"""Lanes: a row a process or thread, a bar a job, filled as high as its CPU share, so that the GIL can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from plotly.subplots import make_subplots

from producer.report.charts.picture import Picture
from producer.report.charts.slot_bars import MOST, add_bars, add_key, add_shades, close_up, close_up_look
from producer.report.charts.theme import HEADING, escaped, layout
from producer.report.formats import count, percent, seconds
from producer.report.parts import Table
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

KEY, TITLE = "lanes", "What each slot did"
MISSING = (
    "No trial has a job that was started and finished, so no slot has a bar. Race for longer, "
    "e.g. --duration 5s, or see the nodes' logs in the run directory."
)
MOST_ROWS = 64
"""Of a lane; lower rows could not be told apart. The table has all."""

KINDS = (Kind.CAPACITY, Kind.LOAD, Kind.CONFIRMATION, Kind.PROBE, Kind.LATENCY)
"""Under a backlog slots are busy all the time, so that trial says most; the others in its absence."""

ROW_PX, LANE_PX = 22, 70
NAMED_ROWS = 32
"""More rows than this are named only now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """
    What the slots of one lane did in one trial.

    Attributes:
        trial: Which.
        jobs: One row a job that a slot ran, by start: `row`, `workload`, `fetched_s`, `started_s`, `finished_s` from
            the trial's zero, and `cpu_s`, all in seconds.
        slots: One row a process or thread: `row`, `node`, `pid`, `thread_id`, `jobs`, `busy_s` and `cpu_s`.
        span_s: From the first start to the last end.
        gil: The interpreter lock was on in every slot.
    """

    trial: Trial
    jobs: pl.DataFrame
    slots: pl.DataFrame
    span_s: float
    gil: bool

    @property
    def lane(self) -> str:
        """The lane's key."""
        return self.trial.lane

    @property
    def cpu_share(self) -> float:
        """CPU time over service time, of all jobs together."""
        return _over(_total(self.slots["cpu_s"]), _total(self.slots["busy_s"])) or 0.0

    @property
    def cores(self) -> float:
        """Cores that the slots used together, on average."""
        return _over(_total(self.slots["cpu_s"]), self.span_s) or 0.0

    @property
    def locked(self) -> bool:
        """Whether its threads are all of one process and share its interpreter lock."""
        return self.gil and self.slots.height > 1 and self.slots["pid"].n_unique() == 1

    @property
    def busy_share(self) -> float:
        """Which part of the time the slots ran a job, on average."""
        return _over(_total(self.slots["busy_s"]), self.span_s * self.slots.height) or 0.0


def lanes(summary: Mapping[str, Any], run: Run) -> Picture:
    """One trial of each lane, of the workload that holds the CPU most, job by job."""
    courses = [_course(run, trial) for trial in _chosen(summary, run)]
    if not courses:
        return Picture(key=KEY, title=TITLE, missing=MISSING)
    return Picture(
        key=KEY,
        title=TITLE,
        shows=_shows(courses),
        reads=_reads(courses),
        figure=_figure(courses),
        table=_table(courses),
    )


def _total(column: pl.Series) -> float:
    return float(column.sum())


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _ran() -> pl.Expr:
    """A slot began the job and ended it."""
    return pl.col("started_at").fill_nan(None).is_not_null() & pl.col("finished_at").fill_nan(None).is_not_null()


def _chosen(summary: Mapping[str, Any], run: Run) -> list[Trial]:
    """The last trial of each lane, of the kind that says most and the workload whose jobs hold the CPU most."""
    ran = set(run.records.filter(_ran())["trial"].to_list())
    among = _last_point(summary)
    able = [trial for trial in run.trials if trial.trial in ran and (among is None or trial.lane in among)]
    kind = next((kind for kind in KINDS if any(trial.kind is kind for trial in able)), None)
    able = [trial for trial in able if trial.kind is kind]
    if not able:
        return []
    workload = _hungriest(run, able)
    last = {trial.lane: trial for trial in able if trial.workload == workload}
    order = [lane["key"] for lane in summary["lanes"]]
    return sorted(last.values(), key=lambda trial: order.index(trial.lane) if trial.lane in order else len(order))


def _last_point(summary: Mapping[str, Any]) -> set[str] | None:
    """The lanes of a sweep's last value, whose lanes are too many to be drawn; None for other runs."""
    points = summary["settings"].get("points") if summary["sweep"] else None
    measured = {point["value"] for point in summary["sweep"]["points"]} if points else set()
    last = next((point for point in reversed(points or []) if point["value"] in measured), None)
    return set(last["lanes"]) if last and last["lanes"] else None


def _hungriest(run: Run, trials: Sequence[Trial]) -> str:
    """The workload with the highest CPU share over all lanes; of equals the first."""
    shares = {}
    for name in dict.fromkeys(trial.workload for trial in trials):
        numbers = [trial.trial for trial in trials if trial.workload == name]
        jobs = run.records.filter(pl.col("trial").is_in(numbers), _ran())
        service_s = _total(jobs["finished_at"] - jobs["started_at"])
        shares[name] = _over(_total(jobs["cpu_s"].fill_nan(None)), service_s) or 0.0
    return max(shares, key=lambda name: shares[name])


def _course(run: Run, trial: Trial) -> _Course:
    slot = ("node", "pid", "thread_id")
    records = run.records.filter(pl.col("trial") == trial.trial, _ran()).sort("started_at", "seq")
    parts = run.sent.filter(pl.col("trial") == trial.trial).select("seq", "part").unique("seq")
    slots = (
        records.group_by(slot, maintain_order=True)
        .agg(
            jobs=pl.len(),
            busy_s=(pl.col("finished_at") - pl.col("started_at")).sum(),
            cpu_s=pl.col("cpu_s").fill_nan(None).sum(),
        )
        .sort(slot)
        .with_row_index("row")
    )
    jobs = records.join(slots.select("row", *slot), on=slot, how="left", maintain_order="left")
    jobs = jobs.join(parts, on="seq", how="left", maintain_order="left").select(
        "row",
        pl.col("cpu_s").fill_nan(None).fill_null(0.0),
        workload=pl.col("part").map_elements(
            lambda part: _named(trial, part), return_dtype=pl.String, skip_nulls=False
        ),
        fetched_s=pl.col("received_at").fill_nan(None).fill_null(pl.col("started_at")) - trial.began_at,
        started_s=pl.col("started_at") - trial.began_at,
        finished_s=pl.col("finished_at") - trial.began_at,
    )
    span_s = float(np.ptp(jobs.select("started_s", "finished_s").to_numpy()))
    return _Course(trial=trial, jobs=jobs, slots=slots, span_s=span_s, gil=bool(records["gil"].all()))


def _named(trial: Trial, part: int | None) -> str:
    """What a job did: a load mixes workloads, other trials have one."""
    return trial.parts[part] if part is not None and part < len(trial.parts) else trial.workload


def _drawn(course: _Course) -> pl.DataFrame:
    return course.jobs.filter(pl.col("row") < MOST_ROWS)


def _figure(courses: Sequence[_Course]) -> go.Figure:
    rows = [min(course.slots.height, MOST_ROWS) for course in courses]
    height = ROW_PX * sum(rows) + LANE_PX * len(rows) + 110
    figure = make_subplots(
        rows=len(courses), cols=1, shared_xaxes="all", row_heights=[max(row, 2) for row in rows],
        subplot_titles=[_heading(course) for course in courses],
        vertical_spacing=min(LANE_PX / height, 0.8 / len(courses)),
    )  # fmt: skip
    workloads = list(
        dict.fromkeys(name for course in courses for name in course.jobs["workload"].unique(maintain_order=True))
    )
    packed: list[dict[str, Any]] = []
    for place, course in enumerate(courses, start=1):
        jobs = _drawn(course)
        if jobs.height > MOST:
            add_shades(figure, course.lane, jobs, place)
            packed.append(close_up(jobs, workloads, place))
        else:
            add_bars(figure, jobs, workloads, place, named=len(packed) == place - 1)
        figure.update_yaxes(**_names(course), row=place, col=1)
    layout(figure, x="", y="", height=height)
    figure.update_xaxes(title_text="seconds since the trial began", row=len(courses), col=1)
    if packed:
        figure.update_layout(meta={"bars": {**close_up_look(workloads), "lanes": packed}})
    if len(packed) == len(courses) and len(workloads) > 1:
        add_key(figure, workloads)
    return figure.update_layout(dragmode="pan").update_annotations(font=HEADING)


def _heading(course: _Course) -> str:
    # As short as a phone is narrow; what is under the chart says it in full.
    return escaped(f"{course.lane}: {percent(course.cpu_share)} on a core, {_cores(course)} cores in all")


def _names(course: _Course) -> dict[str, Any]:
    """Each row's name at its height, the first one on top."""
    slots = course.slots.head(MOST_ROWS)
    step = -(-slots.height // NAMED_ROWS)
    several = slots["node"].n_unique() > 1
    shown = slots.gather_every(step)
    names = [_slot_name(slot, course, several=several) for slot in shown.iter_rows(named=True)]
    return {
        "tickvals": shown["row"].to_list(), "ticktext": names, "range": [slots.height - 0.5, -0.6],
        "showgrid": False, "zeroline": False,
    }  # fmt: skip


def _slot_name(slot: Mapping[str, Any], course: _Course, *, several: bool) -> str:
    shared = course.slots.filter(pl.col("pid") == slot["pid"], pl.col("node") == slot["node"]).height > 1
    name = f"thread {slot['thread_id']}" if shared else f"pid {slot['pid']}"
    return escaped(f"{slot['node']} {name}" if several else name)


def _shows(courses: Sequence[_Course]) -> str:
    trial = courses[0].trial
    told = "; ".join(_did(course) for course in courses)
    return f"The last {trial.kind.value} trial of {trial.workload} on each lane, {_extent(courses)}. {told}."


def _did(course: _Course) -> str:
    slots, jobs = course.slots.height, course.jobs.height
    where = "1 slot that was" if slots == 1 else f"{slots} slots that were"
    return (
        f"{course.lane}: {count(jobs)} jobs on {where} busy {percent(course.busy_share)} of "
        f"{seconds(course.span_s)}, {percent(course.cpu_share)} of that on a core"
    )


def _extent(courses: Sequence[_Course]) -> str:
    """Which part is drawn, and how."""
    shaded = [course.lane for course in courses if _drawn(course).height > MOST]
    cut = [course.lane for course in courses if course.slots.height > MOST_ROWS]
    told = f"all jobs of the first {MOST_ROWS} slots of {', '.join(cut)}" if cut else "all jobs"
    if not shaded:
        return told
    return f"{told}, those of {', '.join(shaded)} as shades of a row's time on a core, being more than {count(MOST)}"


def _reads(courses: Sequence[_Course]) -> str:
    """How to read it, by the lane whose threads share one lock, or else the one whose jobs have least of a core."""
    begin = (
        "A row is a process or a thread and a bar a job, dark as high as its share of CPU time; the thin line is jobs "
        "waiting in the node"
    )
    if any(_drawn(course).height > MOST for course in courses):
        begin = (
            "A row is a process or a thread, the darker the more of a stretch of time its jobs were on a core; in the "
            f"page, zoom in on less than {count(MOST)} jobs to see each as a bar, as full as its share"
        )
    locked = [course for course in courses if course.locked]
    least = min(locked or courses, key=lambda course: course.cpu_share)
    why = (
        f"{least.slots.height} threads in one process share one interpreter lock (GIL)"
        if locked
        else "the rest is waiting, for a core, a lock or an answer"
    )
    full = f"jobs of {least.lane} are {percent(least.cpu_share)} full, {_cores(least)} cores in all"
    return f"{begin}: {full}, and {why}."


def _table(courses: Sequence[_Course]) -> Table:
    rows = [
        [
            course.lane, slot["node"], str(slot["pid"]), str(slot["thread_id"]), count(slot["jobs"]),
            percent(_over(slot["busy_s"], course.span_s)), percent(_over(slot["cpu_s"], slot["busy_s"])),
        ]
        for course in courses
        for slot in course.slots.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        title="What each process or thread did",
        columns=["lane", "node", "process", "thread", "jobs", "busy", "CPU share"],
        rows=rows,
        note="Busy is from the lane's first start to its last end; CPU share is CPU time over service time.",
    )


def _cores(course: _Course) -> str:
    return f"{course.cores:.2f}"
