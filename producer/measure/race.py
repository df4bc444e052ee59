"""
The race: rounds of trials on the lanes, first the same number of everything, then where they decide most.

Nodes are started a second time on the way, so that a start that happens to be a lucky one is seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from producer.analysis.allocation import standing
from producer.analysis.pairs import pair
from producer.analysis.sequential import LEAST_PAIRS
from producer.errors import UsageError
from producer.measure.rounds import Rounds, result_in
from producer.plan.own_app import MIX
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.measure.rounds import Group
    from producer.measure.session import Session
    from producer.plan.lanes import Lane
    from producer.plan.settings import RaceSettings

KINDS = {"capacity": Kind.CAPACITY, "latency": Kind.LATENCY}
"""The kind of trial that each measure is taken from; a held rate follows from capacity, which so comes first."""

ROOM = 1.1
"""How much longer than expected rounds may take."""

TRIES_A_PAIR = 3
"""So many rounds are tried for each pair that is wanted, before a workload that is always disturbed is left."""


def measure_race(settings: RaceSettings, session: Session) -> None:
    """Race the workloads on the running lanes until all is settled, the time is up, or the pairs are done."""
    session.progress.begin(_trials(settings, session), settings.at_most_s)
    rounds = Rounds(settings, session.runner, session.progress, result_in(session.writer.path))
    rounds.take_up(session.before.trials, session.before.results)
    Race(settings, session, rounds).run()


def _trials(settings: RaceSettings, session: Session) -> int | None:
    """Return how many trials there will be, warm-ups included, if nothing is disturbed; None if it is not known."""
    if not settings.pairs or settings.at_most_s is not None or session.before.trials:
        return None
    warm_ups = 1 if settings.attached or settings.pairs == 1 else 2
    pinged = 1
    trials = len(settings.workloads) * len(settings.lanes) * (2 * settings.pairs + warm_ups + pinged)
    return trials + settings.pairs * settings.relieved_lanes


class Race:
    """One race on one fleet."""

    def __init__(self, settings: RaceSettings, session: Session, rounds: Rounds) -> None:
        self._settings = settings
        self._session = session
        self._rounds = rounds
        self._monotonic = session.runner.monotonic
        self._goal = settings.pairs or LEAST_PAIRS
        # Nodes that ran already are not ours to start again, and a race that is taken on has just done so.
        self._again = not settings.attached and self._goal > 1 and rounds.start == 1
        self._ends_s = math.inf if settings.at_most_s is None else self._monotonic() + settings.at_most_s

    def run(self) -> None:
        """
        Measure round after round.

        Raises:
            UsageError: If a user's own jobs take so long that there is no time for a few rounds of each.
        """
        if self._settings.own_app and self._settings.at_most_s is not None and not self._rounds.trials:
            self._check_lengths(self._settings.at_most_s)
        while (group := next(filter(self._fits, self._wanted()), None)) is not None:
            self._rounds.measure(group, self._session.jobs[group[1]], self._lanes_of(group))

    def _check_lengths(self, at_most_s: float) -> None:
        """Find how long the jobs are, and check that there is time for as many rounds as a verdict needs."""
        lanes, began_s = self._settings.lanes, self._monotonic()
        lengths = {
            name: self._rounds.find_lengths(name, self._session.jobs[name], lanes) for name in self._settings.workloads
        }
        groups = [(kind, name) for name in lengths for kind in KINDS.values()]
        if self._settings.apart:
            groups.append((Kind.APART, MIX))
        needed_s = sum(self._goal * self._rounds.expected_s(group, self._lanes_of(group)) for group in groups)
        self._ends_s += self._monotonic() - began_s
        longest = max(lengths, key=lambda name: lengths[name])
        # What is short only because there is much to race gives what it can: fewer rounds, and the answer says so.
        if needed_s > at_most_s * ROOM and self._rounds.is_lengthened(longest):
            minutes = math.ceil(needed_s / 60)
            raise UsageError(
                f"--at-most {at_most_s:.0f}s: jobs of {longest} take {lengths[longest]:.3g} s, so {self._goal} rounds "
                f"of everything take about {minutes} minute{'s' if minutes > 1 else ''}. Give them: --at-most "
                f"{math.ceil(needed_s / 60 * ROOM)}m. Or race fewer tasks (--task) or slots (--concurrency)."
            )

    def _fits(self, group: Group) -> bool:
        """Check whether there is time for one more round of a group."""
        return self._monotonic() + self._rounds.expected_s(group, self._lanes_of(group)) <= self._ends_s

    def _lanes_of(self, group: Group) -> Sequence[Lane]:
        """Return the lanes that a group has trials on: of the mix apart, those that are relieved of a task."""
        settings = self._settings
        return [lane for lane in settings.lanes if group[0] is not Kind.APART or settings.elsewhere(lane)]

    def _wanted(self) -> Iterator[Group]:
        """Yield what the next round may be of, the most wanted first; nothing if all is decided."""
        if self._again:
            # A recommendation rests on capacity: if time is short, it is there first.
            first = {Kind.CAPACITY: math.ceil(self._goal / 2), Kind.LATENCY: self._goal // 2}
            if wanted := list(self._short_of(first)):
                yield from wanted
                return
            self._restart()
        everything = dict.fromkeys(KINDS.values(), self._goal)
        wanted = [*self._short_of(everything), *self._short_of_apart(), *self._unpinged()]
        yield from wanted
        if not wanted and not self._settings.pairs and (group := self._most_decisive()) is not None:
            yield group

    def _short_of(self, goals: Mapping[Kind, int]) -> Iterator[Group]:
        """Yield what has fewer good rounds than wanted, what has the fewest first; capacity before latency."""
        for kind, goal in goals.items():
            found = {
                workload: self._rounds.so_far((kind, workload), self._settings.lanes)
                for workload in self._settings.workloads
            }
            short = [name for name, each in found.items() if each.good < goal and each.tried < TRIES_A_PAIR * goal]
            yield from ((kind, workload) for workload in sorted(short, key=lambda name: found[name].good))

    def _unpinged(self) -> Iterator[Group]:
        """
        Yield the workloads under which no node has been pinged.

        That has a trial of its own: a ping takes time of a node, and wakes one that sleeps although it has work, as
        kombu before 5.7 lets it on threads.
        """
        for workload in self._settings.workloads:
            found = self._rounds.so_far((Kind.PING, workload), self._settings.lanes)
            if not found.good and found.tried < TRIES_A_PAIR:
                yield Kind.PING, workload

    def _short_of_apart(self) -> Iterator[Group]:
        """Yield the mix apart, if it was asked for, until there are as many good rounds as of the mix on one lane."""
        group = (Kind.APART, MIX)
        found = self._rounds.so_far(group, self._lanes_of(group))
        if self._settings.apart and found.good < self._goal and found.tried < TRIES_A_PAIR * self._goal:
            yield group

    def _most_decisive(self) -> Group | None:
        lanes = self._settings.lanes
        comparisons = pair(self._rounds.results)
        round_s = {
            (each.measure, each.workload): self._rounds.expected_s((KINDS[each.measure], each.workload), lanes)
            for each in comparisons
        }
        now = standing(comparisons, self._settings.margin, round_s)
        group = now.next and (KINDS[now.next[0]], now.next[1])
        return None if group is None or self._hopeless(group) else group

    def _hopeless(self, group: Group) -> bool:
        """Check whether so many rounds of a group were disturbed that no further one is worth its time."""
        found = self._rounds.so_far(group, self._settings.lanes)
        return found.tried >= TRIES_A_PAIR * max(found.good + 1, self._goal)

    def _restart(self) -> None:
        """Start the nodes of every lane again; the time that this takes is not measured in, and does not count."""
        self._again = False
        began_s = self._monotonic()
        for lane in self._settings.lanes:
            self._session.stop(lane)
        for lane in self._settings.lanes:
            self._session.start(lane)
        self._rounds.start += 1
        self._ends_s += self._monotonic() - began_s
