"""Lanes: a row a slot, a bar a job, filled as high as its CPU share, so that the GIL can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from plotly.subplots import make_subplots

from poolrace.pools import has_thread_of_its_own
from producer.analysis.slots import SLOT, slot_name, with_slots
from producer.plan.stages import STAGES, with_returns
from producer.report.charts.labels import escaped
from producer.report.charts.last_trials import last_of_each_lane
from producer.report.charts.layout import layout
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.slot_bars import MOST, add_bars, add_key, add_shades, close_up, close_up_look
from producer.report.charts.swept import lane_keys, last_lanes
from producer.report.charts.theme import HEADING
from producer.report.formats import count, percent, seconds
from producer.report.parts import Table
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from producer.analysis.summary import Summary
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

NOTHING_RAN = (
    "No trial has a job that was started and finished, so no slot has a bar. Race for longer, "
    "e.g. --duration 5s, or see the nodes' logs in the run directory."
)
MOST_ROWS = 64
"""Of a lane; lower rows could not be distinguished. The table has all."""

ROW_PX, LANE_PX = 22, 70
NAMED_ROWS = 32
"""More rows than this are named only now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSlots:
    """
    The jobs of one trial, a row a slot.

    Attributes:
        trial: The trial.
        jobs: One row a job that a slot ran, by start: `row`, `workload`, `fetched_s`, `started_s`, `finished_s` from
            the trial's zero, and `cpu_s`, all in seconds.
        slots: One row a slot: `row`, `node`, `pid`, `thread_id`, `greenlet`, `pool`, `jobs`, `busy_s` and `cpu_s`,
            which is null where no job has a CPU time of its own.
        span_s: From the first start to the last end.
        gil: The interpreter lock was on in every slot.
    """

    trial: Trial
    jobs: pl.DataFrame
    slots: pl.DataFrame
    span_s: float
    gil: bool

    @property
    def key(self) -> str:
        """Its lane's key."""
        return self.trial.lane

    @property
    def cpu_share(self) -> float | None:
        """The CPU time over service time, of all jobs together; None if they share threads."""
        if not self.has_cpu:
            return None
        return _over(_total(self.slots["cpu_s"]), _total(self.slots["busy_s"])) or 0.0

    @property
    def cores(self) -> float | None:
        """The cores that the slots used together, on average; None if their jobs share threads."""
        return (_over(_total(self.slots["cpu_s"]), self.span_s) or 0.0) if self.has_cpu else None

    @property
    def has_cpu(self) -> bool:
        """True if the CPU time of a job can be told from that of others."""
        return all(map(has_thread_of_its_own, self.slots["pool"].unique()))

    @property
    def locked(self) -> bool:
        """True if its threads are all of one process and share its interpreter lock."""
        return self.gil and self.slots["thread_id"].n_unique() > 1 and self.slots["pid"].n_unique() == 1

    @property
    def busy_share(self) -> float:
        """The part of the time in which the slots ran a job, on average."""
        return _over(_total(self.slots["busy_s"]), self.span_s * self.slots.height) or 0.0


@picture(
    key="lanes",
    title="What each slot did",
    missing=NOTHING_RAN,
    order=50,
    # Under a backlog slots are busy all the time.
    trials=(Kind.CAPACITY, Kind.LOAD, Kind.PROBE, Kind.LATENCY),
    compares=True,
)
def lanes(summary: Summary, run: Run) -> Drawn | None:
    """Draw one trial of each lane, of the workload that holds the CPU most, job by job."""
    drawn = [_slots_of(run, trial) for trial in _chosen(summary, run)]
    if not drawn:
        return None
    return Drawn(
        shows=_shows(drawn),
        reads=_reads(drawn),
        figure=_figure(drawn),
        table=_table(drawn),
    )


def _total(column: pl.Series) -> float:
    return float(column.sum())


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _ran() -> pl.Expr:
    """Select jobs that a slot began and ended."""
    return pl.col("started_at").fill_nan(None).is_not_null() & pl.col("finished_at").fill_nan(None).is_not_null()


def _chosen(summary: Summary, run: Run) -> list[Trial]:
    """Choose a trial of each lane, of the workload whose jobs hold the CPU most."""
    ran = set(run.records.filter(_ran())["trial"].to_list())
    among = last_lanes(summary)  # all lanes of a sweep are too many to be drawn
    able = [trial for trial in run.trials if trial.trial in ran and (among is None or trial.lane in among)]
    return last_of_each_lane(able, lanes.trials, lambda alike: _hungriest(run, alike), lane_keys(summary))


def _hungriest(run: Run, trials: Sequence[Trial]) -> str:
    """Return the workload with the highest CPU share over all lanes; of equals the first."""
    shares = {}
    for name in dict.fromkeys(trial.workload for trial in trials):
        numbers = [trial.trial for trial in trials if trial.workload == name]
        jobs = run.records.filter(pl.col("trial").is_in(numbers), _ran())
        service_s = float(STAGES["service"].durations_s(with_returns(jobs)).sum())
        shares[name] = _over(_total(jobs["cpu_s"].fill_nan(None)), service_s) or 0.0
    return max(shares, key=lambda name: shares[name])


def _slots_of(run: Run, trial: Trial) -> LaneSlots:
    records = with_slots(
        with_returns(run.records).filter(pl.col("trial") == trial.trial, _ran()).sort("started_at", "seq")
    )
    parts = run.sent.filter(pl.col("trial") == trial.trial).select("seq", "part").unique("seq")
    slots = (
        records.group_by(SLOT, maintain_order=True)
        .agg(
            pool=pl.first("pool"),
            jobs=pl.len(),
            busy_s=STAGES["service"].took_s.sum(),
            cpu_s=pl.col("cpu_s").fill_nan(None).sum(),
        )
        .sort(SLOT)
        .with_row_index("row")
    )
    jobs = records.join(slots.select("row", *SLOT), on=SLOT, how="left", maintain_order="left")
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
    return LaneSlots(trial=trial, jobs=jobs, slots=slots, span_s=span_s, gil=bool(records["gil"].all()))


def _named(trial: Trial, part: int | None) -> str:
    """Name what a job did: a load mixes workloads, other trials have one."""
    return trial.parts[part] if part is not None and part < len(trial.parts) else trial.workload


def _drawn(lane: LaneSlots) -> pl.DataFrame:
    return lane.jobs.filter(pl.col("row") < MOST_ROWS)


def _figure(drawn: Sequence[LaneSlots]) -> go.Figure:
    rows = [min(lane.slots.height, MOST_ROWS) for lane in drawn]
    height = ROW_PX * sum(rows) + LANE_PX * len(rows) + 110
    figure = make_subplots(
        rows=len(drawn),
        cols=1,
        shared_xaxes="all",
        row_heights=[max(row, 2) for row in rows],
        subplot_titles=[_heading(lane) for lane in drawn],
        vertical_spacing=min(LANE_PX / height, 0.8 / len(drawn)),
    )
    workloads = list(
        dict.fromkeys(name for lane in drawn for name in lane.jobs["workload"].unique(maintain_order=True))
    )
    packed: list[dict[str, Any]] = []
    for place, lane in enumerate(drawn, start=1):
        jobs = _drawn(lane)
        if jobs.height > MOST:
            add_shades(figure, lane.key, jobs, place)
            packed.append(close_up(jobs, workloads, place))
        else:
            add_bars(figure, jobs, workloads, place, named=len(packed) == place - 1)
        figure.update_yaxes(**_names(lane), row=place, col=1)
    layout(figure, x="", y="", height=height)
    figure.update_xaxes(title_text="seconds since the trial began", row=len(drawn), col=1)
    if packed:
        figure.update_layout(meta={"bars": {**close_up_look(workloads), "lanes": packed}})
    if len(packed) == len(drawn) and len(workloads) > 1:
        add_key(figure, workloads)
    return figure.update_layout(dragmode="pan").update_annotations(font=HEADING)


def _heading(lane: LaneSlots) -> str:
    # As short as a phone is narrow; what is under the chart says it in full.
    if lane.cpu_share is None:
        return escaped(f"{lane.key}: jobs share threads, so none has a CPU time of its own")
    return escaped(f"{lane.key}: {percent(lane.cpu_share)} on a core, {lane.cores:.2f} cores in all")


def _names(lane: LaneSlots) -> dict[str, Any]:
    """Name each row at its height, the first one on top."""
    slots = lane.slots.head(MOST_ROWS)
    step = -(-slots.height // NAMED_ROWS)
    several = slots["node"].n_unique() > 1
    shown = slots.gather_every(step)
    names = [_slot_name(slot, lane, several=several) for slot in shown.iter_rows(named=True)]
    return {
        "tickvals": shown["row"].to_list(),
        "ticktext": names,
        "range": [slots.height - 0.5, -0.6],
        "showgrid": False,
        "zeroline": False,
    }


def _slot_name(slot: Mapping[str, Any], lane: LaneSlots, *, several: bool) -> str:
    shared = lane.slots.filter(pl.col("pid") == slot["pid"], pl.col("node") == slot["node"]).height > 1
    name = slot_name(slot, shares_process=shared)
    return escaped(f"{slot['node']} {name}" if several else name)


def _shows(drawn: Sequence[LaneSlots]) -> str:
    trial = drawn[0].trial
    figures = "; ".join(_did(lane) for lane in drawn)
    return f"The last {trial.kind.value} trial of {trial.workload} on each lane, {_extent(drawn)}. {figures}."


def _did(lane: LaneSlots) -> str:
    slots, jobs = lane.slots.height, lane.jobs.height
    where = "1 slot that was" if slots == 1 else f"{slots} slots that were"
    on_a_core = f", {percent(lane.cpu_share)} of that on a core" if lane.has_cpu else ""
    busy = f"{percent(lane.busy_share)} of {seconds(lane.span_s)}"
    return f"{lane.key}: {count(jobs)} jobs on {where} busy {busy}{on_a_core}"


def _extent(drawn: Sequence[LaneSlots]) -> str:
    """Say which part is drawn, and how."""
    shaded = [lane.key for lane in drawn if _drawn(lane).height > MOST]
    cut = [lane.key for lane in drawn if lane.slots.height > MOST_ROWS]
    jobs = f"all jobs of the first {MOST_ROWS} slots of {', '.join(cut)}" if cut else "all jobs"
    if not shaded:
        return jobs
    return f"{jobs}, those of {', '.join(shaded)} as shades of a row's time on a core, being more than {count(MOST)}"


def _reads(drawn: Sequence[LaneSlots]) -> str:
    """Explain it by the lane whose threads share one lock, or else the one whose jobs have least of a core."""
    row = "a process or a thread" if all(lane.has_cpu for lane in drawn) else "a process, a thread or a greenlet"
    begin = (
        f"A row is {row} and a bar a job, dark as high as its share of CPU time; the thin line is jobs waiting in the "
        "node"
    )
    if any(_drawn(lane).height > MOST for lane in drawn):
        begin = (
            f"A row is {row}, the darker the more of a stretch of time its jobs were on a core; in the page, zoom in "
            f"on less than {count(MOST)} jobs to see each as a bar, as full as its share"
        )
    locked = [lane for lane in drawn if lane.locked]
    least = min(locked or drawn, key=lambda lane: 2.0 if lane.cpu_share is None else lane.cpu_share)
    if least.cpu_share is None:
        return f"{begin}; jobs of {least.key} share a thread, so that none has a CPU time of its own."
    why = (
        f"{least.slots.height} threads in one process share one interpreter lock (GIL)"
        if locked
        else "the rest is waiting, for a core, a lock or an answer"
    )
    full = f"jobs of {least.key} are {percent(least.cpu_share)} full, {least.cores:.2f} cores in all"
    return f"{begin}: {full}, and {why}."


def _table(drawn: Sequence[LaneSlots]) -> Table:
    rows = [
        [
            lane.key,
            slot["node"],
            str(slot["pid"]),
            str(slot["thread_id"]) if lane.has_cpu else slot_name(slot, shares_process=True),
            count(slot["jobs"]),
            percent(_over(slot["busy_s"], lane.span_s)),
            percent(_over(slot["cpu_s"], slot["busy_s"]) if lane.has_cpu else None),
        ]
        for lane in drawn
        for slot in lane.slots.iter_rows(named=True)
    ]
    return Table(
        title="What each slot did",
        columns=["lane", "node", "process", "thread", "jobs", "busy", "CPU share"],
        rows=rows,
        note="Busy is from the lane's first start to its last end; CPU share is CPU time over service time.",
    )
