"""How the nodes of a lane shared the jobs of a load, and what one held while another was free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.formats import count, milliseconds, number
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.analysis.fairness import Fairness, HostShare, NodeShare
    from producer.analysis.load import LoadSummary
    from producer.analysis.summary import Summary
    from producer.plan.lanes import Lane


DID = ("slots", "jobs", "slots busy", "queue wait ms", "hoarded s")


def by_node(load: LoadSummary) -> Table:
    """Return how the nodes of each lane shared its jobs."""
    return Table(
        title="By node: how the nodes of a lane shared its jobs",
        columns=["lane", "node", *DID],
        rows=[
            [lane.lane, node.node, *_did(node)] for lane in load.lanes if lane.fairness for node in lane.fairness.nodes
        ],
        note="Hoarded: how long its jobs waited in it, together, while slots were free on other nodes of the lane.",
    )


def by_host(load: LoadSummary) -> Table:
    """Return how hosts shared the jobs of each lane; without rows where nodes say as much."""
    return Table(
        title="By host: how hosts shared the jobs of a lane",
        columns=["lane", "host", "nodes", *DID],
        rows=[
            [lane.lane, host.host, count(host.nodes), *_did(host)]
            for lane in load.lanes
            if lane.fairness
            for host in lane.fairness.hosts
        ],
    )


def _did(share: NodeShare | HostShare) -> list[str]:
    """Return what a node or a host did of its lane's jobs, by the columns of `DID`."""
    return [
        count(share.slots),
        count(share.jobs),
        f"{share.busy_share:.0%}",
        milliseconds(share.queue_wait_s),
        number(share.hoarded_s),
    ]


def hoarding(summary: Summary, load: LoadSummary) -> Prose:
    """Return which lanes hoard, what that cost, and the setting that cures it."""
    facts = {each.key: each for each in summary.lanes}
    lines = [
        line
        for lane in load.lanes
        if lane.fairness and lane.fairness.hoards
        for line in _hoarding(facts[lane.lane], lane.fairness)
    ]
    return Prose(title="Held by one node while another was free", lines=lines)


def _hoarding(lane: Lane, found: Fairness) -> Iterator[str]:
    longest = "" if found.longest_s is None else f", beside a job of {found.longest_s:.3g} s"
    worst = max(found.nodes, key=lambda node: node.hoarded_s)
    yield (
        f"{lane.key}: {found.jobs_held:,} jobs waited on a node while another was free{longest}: "
        f"{found.hoarded_share:.0%} of all queue wait, most on {worst.node}."
    )
    if cure := _cure(lane):
        as_it_is = f"{lane.pool}:{lane.concurrency}:nodes={lane.nodes}"
        yield (
            f"A node takes {lane.prefetch} jobs a slot ahead. With --prefetch-multiplier 1 and task_acks_late it takes "
            "one when a slot is free."
        )
        yield f"The same load on both: --lane {as_it_is} --lane {as_it_is}:{cure}"


def _cure(lane: Lane) -> str:
    """Return the keys of a lane with which its nodes hold nothing ahead; empty if it has them."""
    wanted = {"prefetch=1": lane.prefetch != 1, "acks=late": lane.acks != "late"}
    return ":".join(key for key, needed in wanted.items() if needed)
