"""Whether the CPU quotas of nodes were kept, and what they cost: nodes that the kernel stopped. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from producer.plan.lane_settings import CPUS, cpus_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.analysis.results import Analysis
    from producer.rundir.run import Run

OVER = 1.1
"""A node that used so many times its quota had none: the kernel gives a few percent more at most."""

UNEVEN_S = 1.0
"""A sample of a node that is stopped again and again takes time itself, so its instant is known to within this."""

THROTTLED_SHARE = 0.05
"""A lane that was stopped in a larger part of its periods waited for its quota, and not for its slots alone."""


def quota_problems(run: Run) -> Iterator[str]:
    """Yield which nodes used more CPU time than their quota allows, over one of their lives."""
    asked = {lane.key: cpus for lane in run.manifest.settings.lanes if (cpus := cpus_of(lane.settings))}
    lives = _lives(run.samples.filter(pl.col("lane").is_in(list(asked))))
    worst = lives.sort("cores", descending=True).unique("node", keep="first", maintain_order=True).sort("node")
    for lane, node, used_s, span_s, cores in worst.iter_rows():
        if used_s > OVER * asked[lane] * (span_s + UNEVEN_S):
            yield (
                f"The quota of {node} was not applied: it used {used_s:.1f} s of CPU time in {span_s:.1f} s, "
                f"{cores:.2f} cores, and {CPUS} is {asked[lane]:g}. Something moved its processes out of their control "
                "group: find out what, and run it again."
            )


def _lives(samples: pl.DataFrame) -> pl.DataFrame:
    """Return lane, node, CPU seconds, seconds and cores of each life of a node: a new one counts from 0 again."""
    span, used = ((pl.col(name).last() - pl.col(name).first()) for name in ("at", "cpu_s"))
    return (
        samples.sort("node", "at")
        .with_columns(life=(pl.col("cpu_s").diff().over("node") < 0).fill_null(value=False).cum_sum().over("node"))
        .group_by("lane", "node", "life", maintain_order=True)
        .agg(used_s=used, span_s=span)
        .filter(pl.col("span_s") > 0)
        .select("lane", "node", "used_s", "span_s", cores=pl.col("used_s") / pl.col("span_s"))
    )


def quota_warnings(analysis: Analysis) -> Iterator[str]:
    """Yield which lanes were stopped at a rate that they hold: their sojourn times have these stops in them."""
    worst: dict[str, float] = {}
    for each in analysis.lanes:
        worst[each.lane] = max(worst.get(each.lane, 0.0), each.latency_throttled or 0.0)
    told = [f"{lane} in {share:.0%}" for lane, share in worst.items() if share > THROTTLED_SHARE]
    if told:
        yield (
            f"Nodes were throttled at the held rate: {', '.join(told)} of the periods of their CPU limit. Sojourn "
            "times have these stops in them: give nodes more, or take more of them."
        )
