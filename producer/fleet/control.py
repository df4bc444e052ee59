"""Remote control of nodes: asks them to describe themselves, for samples of their use, and for a ping."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolrace.cgroup import Throttling
from poolrace.contract import GOODBYE_COMMAND, HELLO_COMMAND, MACHINE, SAMPLE_COMMAND, THROTTLING, NodeSample
from poolrace.machine_use import MachineUse
from poolrace.shipping import SAMPLE_EVERY_S
from producer.fleet.broker_errors import needing_broker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from celery import Celery

ANSWER_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUse:
    """
    What a node has used so far.

    Attributes:
        sample: What its process tree has used.
        throttling: How often the kernel stopped it because of a CPU quota; None if none holds.
        machine: What all programs of its machine have used; None if it does not say, as older ones do not.
    """

    sample: NodeSample
    throttling: Throttling | None = None
    machine: MachineUse | None = None


class Control:
    """
    Sends control commands over a connection of its own.

    Two threads must not share one; each thread makes its own.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection = app.connection_for_write()

    def close(self) -> None:
        """Close the connection."""
        self._connection.release()

    def hello(
        self, run_id: str, nodes: Sequence[str], timeout_s: float = ANSWER_S, every_s: float = SAMPLE_EVERY_S
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the description of each node that answers, by name, and have it send the run samples from now on."""
        return self._ask(HELLO_COMMAND, nodes, timeout_s, run_id=run_id, every_s=every_s)

    def goodbye(self, run_id: str, nodes: Sequence[str], timeout_s: float = ANSWER_S) -> None:
        """Have the nodes send no more samples to a run; records of its jobs still come."""
        self._ask(GOODBYE_COMMAND, nodes, timeout_s, run_id=run_id)

    def uses(self, nodes: Sequence[str], timeout_s: float = ANSWER_S) -> Mapping[str, NodeUse]:
        """Return what each node that answers has used so far, by node name."""
        answers = self._ask(SAMPLE_COMMAND, nodes, timeout_s)
        return {node: _use(answer) for node, answer in answers.items() if "error" not in answer}

    def ping_s(self, node: str, timeout_s: float = ANSWER_S) -> float | None:
        """Return the round trip of Celery's ping in seconds; None if there was no answer in time."""
        began = time.perf_counter()
        answered = self._ask("ping", [node], timeout_s)
        return time.perf_counter() - began if answered else None

    def consumers(self, timeout_s: float = ANSWER_S) -> Mapping[str, Sequence[str]]:
        """Return the queues of each node that answers, of any Celery app, by node name."""
        answers = self._ask("active_queues", (), timeout_s)
        return {node: [each["name"] for each in answer] for node, answer in answers.items() if "error" not in answer}

    def slots(self, nodes: Sequence[str], timeout_s: float = ANSWER_S) -> Mapping[str, int]:
        """Return the slots of each node that answers, of any Celery app, by node name."""
        answers = self._ask("stats", nodes, timeout_s) if nodes else {}
        return {node: answer["pool"]["max-concurrency"] for node, answer in answers.items() if "error" not in answer}

    def active(self, nodes: Sequence[str], timeout_s: float = ANSWER_S) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the jobs that run on each node that answers, of any Celery app, as Celery describes them."""
        answers = self._ask("active", nodes, timeout_s) if nodes else {}
        return {node: answer for node, answer in answers.items() if "error" not in answer}

    def _ask(self, command: str, nodes: Sequence[str], timeout_s: float, **arguments: Any) -> dict[str, Any]:
        with needing_broker():
            replies: Iterable[Mapping[str, Any]] = (
                self._app.control.broadcast(
                    command,
                    arguments=arguments,
                    destination=list(nodes),
                    reply=True,
                    limit=len(nodes),
                    timeout=timeout_s,
                    connection=self._connection,
                )
                or ()
            )
        return {node: answer for reply in replies for node, answer in reply.items()}


def _use(answer: Mapping[str, Any]) -> NodeUse:
    throttling, machine = answer.get(THROTTLING), answer.get(MACHINE)
    sample = NodeSample.from_dict({name: value for name, value in answer.items() if name not in {THROTTLING, MACHINE}})
    return NodeUse(
        sample=sample,
        throttling=throttling and Throttling(**throttling),
        machine=machine and MachineUse(**machine),
    )
