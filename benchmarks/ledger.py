"""Accounts for every job over many kills: its place after a kill, and the kill that made it run again. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    The most that a kill may cost.

    Attributes:
        window: Jobs that a node may hold, and so the most that can run again.
        lost: Jobs that may be lost: none with late acknowledgement, one for each slot with early.
    """

    window: int
    lost: int


@dataclass(slots=True, kw_only=True)
class Kill:
    """
    The cost of one kill.

    Attributes:
        begun: Runs that began in the life of the node.
        held: Jobs that the dead node had taken and not acknowledged.
        queued: Jobs that waited; above zero, the node was killed under load.
        lost: Jobs that are neither queued nor held and never ended.
        lost_unbegun: Lost jobs that had not yet noted their start.
        repeated: Jobs that the dead node held and that have begun again since.
        unexplained: Runs in the life of the node that began again although no dead node held the job.
    """

    begun: int
    held: int
    queued: int
    lost: int
    lost_unbegun: int
    repeated: int = 0
    unexplained: int = 0

    def faults(self, bounds: Bounds) -> list[str]:
        """Return in words the costs beyond the bounds."""
        found = []
        if self.lost > bounds.lost:
            found.append(f"{self.lost} jobs lost, at most {bounds.lost} may be")
        if self.held > bounds.window:
            found.append(f"{self.held} jobs held, the window is {bounds.window}")
        if self.repeated > bounds.window:
            found.append(f"{self.repeated} jobs begun again, the window is {bounds.window}")
        if self.unexplained:
            found.append(f"{self.unexplained} jobs begun again that no dead node held")
        return found


class Ledger:
    """
    The jobs of one round, numbered from zero.

    Attributes:
        sent: The number of jobs.
        kills: The cost of each kill so far.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.kills: list[Kill] = []
        self._begun = bytearray()
        self._open: set[int] = set()
        self._lost: set[int] = set()
        self._owed: defaultdict[int, deque[Kill]] = defaultdict(deque)
        self._fresh = 0
        self._unexplained = 0

    def send(self, count: int) -> range:
        """Return the numbers of some new jobs."""
        jobs = range(self.sent, self.sent + count)
        self.sent += count
        self._begun.extend(bytes(count))
        self._open.update(jobs)
        return jobs

    def note(self, begun: Iterable[int], ended: Iterable[int]) -> None:
        """
        Enter what jobs noted since the last time.

        Raises:
            ValueError: If a job ended that counts as lost: then the places were read too early.
        """
        for job in begun:
            self._fresh += 1
            if self._begun[job]:
                self._explain(job)
            self._begun[job] = 1
        for job in ended:
            if job in self._lost:
                raise ValueError(f"job {job} counts as lost and has ended")
            self._open.discard(job)

    def _explain(self, job: int) -> None:
        owed = self._owed.get(job)
        if not owed:
            self._unexplained += 1
            return
        owed.popleft().repeated += 1
        if not owed:
            del self._owed[job]

    def kill(self, *, held: Collection[int], places: Collection[int]) -> Kill:
        """
        Enter a kill, after the notes until then.

        Args:
            held: Jobs that the dead node held.
            places: All jobs that are queued or that a node holds.
        """
        lost = self._open.difference(places)
        kill = Kill(
            begun=self._fresh,
            held=len(held),
            queued=len(set(places).difference(held)),
            lost=len(lost),
            lost_unbegun=sum(not self._begun[job] for job in lost),
            unexplained=self._unexplained,
        )
        for job in held:
            self._owed[job].append(kill)
        self._open -= lost
        self._lost |= lost
        self._fresh = self._unexplained = 0
        self.kills.append(kill)
        return kill

    def finish(self) -> list[str]:
        """Return in words the faults after all jobs were left to run to their end."""
        found = []
        if self._open:
            found.append(f"{len(self._open)} jobs had not ended in the end")
        if self._unexplained:
            found.append(f"{self._unexplained} jobs begun again in the end that no dead node held")
        return found
