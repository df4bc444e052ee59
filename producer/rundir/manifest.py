"""The manifest of a run: what was asked, on what, with which versions, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from producer.plan.run_settings import RunSettings
from producer.plan.script import Change
from producer.rundir.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """
    The size of a workload's jobs.

    Attributes:
        amount: The jobs' arguments.
        target_s: How long a job should take, in seconds; None if it has no length to aim at.
        measured_s: How long it took when it was sized, in seconds; None if it was not measured.
    """

    amount: tuple[int, ...]
    target_s: float | None = None
    measured_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """
    The facts about a node once it is ready.

    Attributes:
        node: Celery's node name.
        lane: Key of its lane.
        ready_s: From starting the process until every slot had begun a first job, in seconds; None if it ran already.
        hello: What the node says of itself.
    """

    node: str
    lane: str
    ready_s: float | None
    hello: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """
    The distance of a lane's nodes to the broker. What only a relay has is None where there was none.

    Attributes:
        lane: Key of the lane.
        rtt_s: The round trip that was asked for, in seconds.
        ping_s: How long the broker took to answer a PING at that distance, in seconds: the median of several.
        direct_s: The same without the relay.
        chunks: Pieces of data that the relay carried, both directions together.
        carried_bytes: Their bytes.
        cpu_s: CPU seconds of the relay's process since it listens.
        late_p50_s: How much later than due half of the chunks went on at most, in seconds.
        late_p99_s: The same of 99 in 100.
    """

    lane: str
    rtt_s: float
    ping_s: float
    direct_s: float
    chunks: int | None = None
    carried_bytes: int | None = None
    cpu_s: float | None = None
    late_p50_s: float | None = None
    late_p99_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """
    A clock beside the broker's.

    Attributes:
        offset_s: Broker's clock minus this one, in seconds; None if unknown.
        bound_s: By how much the offset may be off, in seconds; None if unknown.
        drift_s: How much the offset grew since it was first measured, in seconds; None if it was measured once.
        drift_bound_s: By how much that may be off, in seconds.
    """

    offset_s: float | None
    bound_s: float | None
    drift_s: float | None = None
    drift_bound_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersOnHost:
    """
    What others used of a machine on which nodes ran already, while the run measured.

    Attributes:
        nodes: The nodes of the run that are on it.
        cores: The cores that it has.
        others_cores: Cores' worth of CPU time that neither they, nor the broker, nor the run itself used.
    """

    nodes: tuple[str, ...]
    cores: int
    others_cores: float

    @property
    def others_share(self) -> float:
        """The part of its cores that others used."""
        return self.others_cores / self.cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """
    The early end of a load.

    Attributes:
        lane: Key of the lane that was loaded.
        at_s: When no more was sent, in seconds from the lane's start.
        why: The threshold that was broken.
    """

    lane: str
    at_s: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    A manifest, read. What a run that was cut short did not get to know is None or empty.

    Attributes:
        format: Version of the directory.
        status: `running`, `complete`, `incomplete` or `invalid`.
        run_id: 16 hexadecimal digits.
        settings: What was asked.
        reason: Why the run is not complete.
        began_at: When it began, in seconds since 1970.
        ended_at: When it ended.
        machine: The machine it ran on.
        others_cores: Cores' worth of CPU time that other programs used while trials ran; None on attached nodes.
        hosts: What others used of the machines of nodes that ran already.
        sizes: Of the jobs, by workload.
        broker: Its address, without a password.
        nodes: The nodes of all lanes.
        distances: Their distances to the broker, of lanes for which one was asked.
        changes: Of a load, by lane: what was changed while it ran.
        aborted: Of a load that was ended early.
        publisher_clock: The clock of the machine that sent, or that gave the orders to publishers of others.
        publisher_clocks: Those of publishers of other hosts, by name.
        clocks: Those of the nodes, by name.
    """

    format: int
    status: str
    run_id: str
    settings: RunSettings
    reason: str | None = None
    began_at: float | None = None
    ended_at: float | None = None
    machine: Machine | None = None
    others_cores: float | None = None
    hosts: tuple[OthersOnHost, ...] = ()
    sizes: Mapping[str, Size | None] = field(default_factory=dict)
    broker: str | None = None
    nodes: tuple[NodeFacts, ...] = ()
    distances: tuple[Distance, ...] = ()
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    aborted: Aborted | None = None
    publisher_clock: Clock | None = None
    publisher_clocks: Mapping[str, Clock] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=dict)
