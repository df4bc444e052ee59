"""
Meters of what other programs use of the cores while a run measures.

Where the run started everything itself, others are all but this process and its children. Where it uses nodes that ran
already, each node says what its machine and itself have used: others are what is left on that machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolrace.machine_use import MachineUse, machine_use
from poolrace.sampling import Sampler
from producer.rundir.manifest import OthersOnHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from producer.fleet.control import NodeUse


class OthersMeter:
    """A meter of the CPU time that programs other than this process and its children use from its making on."""

    def __init__(self) -> None:
        self._ours = Sampler()
        self._began = self._read()

    def cores(self) -> float:
        """
        Return the cores' worth of CPU time that others used, on average; time that a hypervisor kept counts as theirs.

        The result is never below 0: the kernel counts the machine's time in coarser steps than a process's.
        """
        now = self._read()
        elapsed_s, busy_s, ours_s = (after - before for after, before in zip(now, self._began, strict=True))
        return max(0.0, (busy_s - ours_s) / elapsed_s) if elapsed_s else 0.0

    def _read(self) -> tuple[float, float, float]:
        use = machine_use()
        return use.at_s, use.busy_s, self._ours.cpu_s()


class AttachedOthersMeter:
    """
    A meter of what is used, from its making on, of the machines of nodes that ran already.

    Args:
        ask: Returns what each node that answers, and its machine, have used so far, by name.
        broker_cpu_s: Returns the CPU seconds that the broker has used so far; None if it does not say.
        here: Reads the use of this machine.
    """

    def __init__(
        self,
        ask: Callable[[], Mapping[str, NodeUse]],
        broker_cpu_s: Callable[[], float | None],
        here: Callable[[], MachineUse] = machine_use,
    ) -> None:
        self._ask, self._broker_cpu_s, self._here = ask, broker_cpu_s, here
        self._ours = Sampler()
        self._began = self._read()

    def hosts(self) -> tuple[OthersOnHost, ...]:
        """
        Return what others than the nodes, the broker and this process used of each machine.

        It is not said of a machine of which a node does not answer any more, or has started anew: what that used would
        be taken for another's. The broker may run on any of them, so its use is taken off on each.
        """
        return tuple(others(self._began, self._read()))

    def _read(self) -> Reading:
        return Reading(
            broker_s=self._broker_cpu_s() or 0.0, ours_s=self._ours.cpu_s(), here=self._here(), nodes=self._ask()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What had been used until an instant.

    Attributes:
        broker_s: CPU seconds of the broker, wherever it runs.
        ours_s: CPU seconds of this process and its children.
        here: The use of this machine.
        nodes: The use of each node and its machine, by the node's name.
    """

    broker_s: float
    ours_s: float
    here: MachineUse
    nodes: Mapping[str, NodeUse]


def others(began: Reading, now: Reading) -> Iterator[OthersOnHost]:
    """Yield what others used between two readings of each machine of which all nodes answered both times."""
    by_machine: dict[str, list[str]] = {}
    for node, use in sorted(began.nodes.items()):
        if use.machine is not None:
            by_machine.setdefault(use.machine.machine, []).append(node)
    for machine, nodes in by_machine.items():
        if all(_went_on(machine, began.nodes[node], now.nodes.get(node)) for node in nodes):
            yield _others_on(machine, nodes, began, now)


def _went_on(machine: str, before: NodeUse, after: NodeUse | None) -> bool:
    """Check whether a node answered again, on the same machine; one that has started anew has used less than before."""
    if before.machine is None or after is None or after.machine is None or after.machine.machine != machine:
        return False
    return after.machine.at_s > before.machine.at_s and after.sample.cpu_s >= before.sample.cpu_s


def _others_on(machine: str, nodes: Sequence[str], began: Reading, now: Reading) -> OthersOnHost:
    before, after = began.nodes[nodes[0]].machine, now.nodes[nodes[0]].machine
    assert before is not None
    assert after is not None
    nodes_s = sum(now.nodes[node].sample.cpu_s - began.nodes[node].sample.cpu_s for node in nodes)
    ours_s = now.ours_s - began.ours_s if machine == began.here.machine else 0.0
    left_s = after.busy_s - before.busy_s - nodes_s - ours_s - (now.broker_s - began.broker_s)
    return OthersOnHost(
        nodes=tuple(nodes), cores=after.cores, others_cores=max(0.0, left_s / (after.at_s - before.at_s))
    )
