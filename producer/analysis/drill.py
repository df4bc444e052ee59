"""
Settles what a drill has sent: each job has one fate, by its own notes and by where it was found. Pure.

Nothing is found by subtracting totals. A job is lost only if no note says that it is done or failed, the broker has it
in no list, no node that lives says that it has it, and nothing can bring it back.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import attrgetter

from poolrace.effects import BEGUN, DONE, FAILED, RETRIED, Note
from producer.plan.drill import Bounds

ONE_SIDED_95 = 1.645
CONFIDENCE_OF_NONE = 3.0
"""Where none of n was seen, the share is below 3/n with 95 %: (1 - 3/n)^n is about 5 %."""


class Fate(StrEnum):
    """What became of a job."""

    DONE = "done"
    FAILED = "failed"
    QUEUED = "queued"
    LOST = "lost"
    SET_ASIDE = "set aside"
    """Among the dead letters, because it came again too often or could not be read."""

    REFUSED = "refused"
    """Its sender was told that the broker did not take it, and it is nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """
    An instant at which a fault struck.

    Attributes:
        what: The fault, in words.
        at: When, in seconds since the epoch.
        held: The jobs that were delivered to nodes and not acknowledged, and those that ran: a fault of these nodes may
            repeat them.
    """

    what: str
    at: float
    held: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    Where jobs were found in the end.

    Attributes:
        ready: Those in lists of the broker.
        delivered: Those that the broker has as delivered and not acknowledged.
        on_nodes: Those that nodes that live say they have.
        dead_letters: Those that were set aside.
    """

    ready: frozenset[str] = frozenset()
    delivered: frozenset[str] = frozenset()
    on_nodes: frozenset[str] = frozenset()
    dead_letters: frozenset[str] = frozenset()

    @property
    def on_the_way(self) -> frozenset[str]:
        """All that may yet be done."""
        return self.ready | self.delivered | self.on_nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFate:
    """
    What became of one job.

    Attributes:
        job: Its identity.
        fate: Its fate, which is one of six.
        runs: How often it began, tries that the task itself asked for apart.
        effects: How often it was done.
        explained_by: The strike that explains that it ran again; empty if it did not, or if none does.
    """

    job: str
    fate: Fate
    runs: int
    effects: int
    explained_by: str = ""

    @property
    def repeated(self) -> bool:
        """Whether it ran more than once."""
        return self.runs > 1


def settle_jobs(
    sent: Sequence[str], refused: Collection[str], notes: Iterable[Note], found: Found, strikes: Sequence[Strike]
) -> list[JobFate]:
    """
    Give each job that was sent its one fate.

    Args:
        sent: The identities of the jobs, in the order in which they were sent.
        refused: Those of which their sender was told that they were not taken.
        notes: The ledger of effects.
        found: Where jobs were found in the end.
        strikes: The faults, in order.

    Raises:
        ValueError: If two jobs have one identity, or a note is of a job that nobody sent.
    """
    counts = {what: Counter[str]() for what in (BEGUN, DONE, FAILED, RETRIED)}
    known = set(sent)
    if len(known) < len(sent):
        raise ValueError("two jobs have the same identity")
    for each in notes:
        if each.job not in known:
            raise ValueError(f"the ledger has a note of {each.job!r}, which nobody sent")
        counts[each.what][each.job] += 1
    return [
        JobFate(
            job=job,
            fate=_fate(job, counts, found, refused),
            runs=(runs := counts[BEGUN][job] - counts[RETRIED][job]),
            effects=counts[DONE][job],
            explained_by=_explanation(job, strikes) if runs > 1 else "",
        )
        for job in sent
    ]


def under_way(notes: Iterable[Note], instants: Iterable[float], after_s: float) -> list[frozenset[str]]:
    """
    Return the jobs that ran at each instant, or began shortly after it.

    A job whose run is cut short there may run again though no node held its message: one that asks for another try has
    sent it before it notes that it did.

    Args:
        notes: The ledger of effects.
        instants: Ascending.
        after_s: Shortly: so long.
    """
    ordered = sorted(notes, key=attrgetter("at"))
    at = [each.at for each in ordered]
    running: set[str] = set()
    found, place = [], 0
    for instant in instants:
        while place < len(ordered) and at[place] <= instant:
            (running.add if ordered[place].what == BEGUN else running.discard)(ordered[place].job)
            place += 1
        soon = ordered[place : bisect_right(at, instant + after_s)]
        found.append(running.union(each.job for each in soon if each.what == BEGUN))
    return [frozenset(each) for each in found]


def _fate(job: str, counts: Mapping[str, Counter[str]], found: Found, refused: Collection[str]) -> Fate:
    if counts[DONE][job]:
        return Fate.DONE
    if job in found.on_the_way:
        return Fate.QUEUED
    if job in found.dead_letters:
        return Fate.SET_ASIDE
    if counts[FAILED][job]:
        return Fate.FAILED
    return Fate.REFUSED if job in refused and not counts[BEGUN][job] else Fate.LOST


def _explanation(job: str, strikes: Sequence[Strike]) -> str:
    return next((strike.what for strike in strikes if job in strike.held), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """
    What a fault cost.

    Attributes:
        sent: All jobs.
        refused: Jobs that were not taken, as their sender was told.
        done: Jobs whose effect is there.
        failed: Jobs that their node gave up.
        set_aside: Jobs among the dead letters.
        queued: Jobs that wait, or that a node has.
        lost: Jobs that are gone.
        repeated: Jobs that ran more than once.
        unexplained: Of these, jobs that no strike explains.
        most_runs: The most runs of one job.
        lost_by: Where nodes have different transports, the lost jobs by that which took them last.
        neighbours: Where a job did the harm, the others that were lost, failed, set aside, left waiting, or ran again.
    """

    sent: int
    refused: int
    done: int
    failed: int
    set_aside: int
    queued: int
    lost: int
    repeated: int
    unexplained: int
    most_runs: int
    lost_by: Mapping[str, int] = field(default_factory=dict)
    neighbours: int | None = None


def toll_of(fates: Sequence[JobFate], lost_by: Mapping[str, int] | None = None, harmful: Collection[str] = ()) -> Toll:
    """
    Count fates.

    Args:
        fates: What became of each job.
        lost_by: The lost jobs by transport, where nodes have different ones.
        harmful: The jobs that did the harm, if jobs did.
    """
    hurt = [each.job for each in fates if each.fate not in (Fate.DONE, Fate.REFUSED) or each.repeated]
    of = Counter(each.fate for each in fates)
    repeated = [each for each in fates if each.repeated]
    return Toll(
        sent=len(fates),
        refused=of[Fate.REFUSED],
        done=of[Fate.DONE],
        failed=of[Fate.FAILED],
        set_aside=of[Fate.SET_ASIDE],
        queued=of[Fate.QUEUED],
        lost=of[Fate.LOST],
        repeated=len(repeated),
        unexplained=sum(not each.explained_by for each in repeated),
        most_runs=max((each.runs for each in fates), default=0),
        lost_by=lost_by or {},
        neighbours=len(set(hurt) - set(harmful)) if harmful else None,
    )


def shortfalls(
    toll: Toll,
    bounds: Bounds,
    *,
    holdable: int,
    resumed_s: float | None,
    resume_s: float,
    ended: int = 0,
    hanging: Sequence[str] = (),
    promised: str = "",
) -> list[str]:
    """
    Return in words where a fault cost more than it may; none if all is as expected.

    Args:
        toll: What it cost.
        bounds: What it may cost.
        holdable: The jobs that the nodes may hold at once: without another bound, the most that may run again.
        resumed_s: The time after which work went on; None if it did not.
        resume_s: The time within which it must.
        ended: The nodes that ended by themselves.
        hanging: The nodes that run and take no job, where work did not go on.
        promised: Where nodes have different transports, the one that may lose nothing.
    """
    repeated = holdable if bounds.repeated is None else bounds.repeated
    checks = (
        (toll.lost, bounds.lost, "lost"),
        (toll.failed, bounds.failed, "failed"),
        (toll.set_aside, bounds.set_aside, "were set aside"),
        (toll.repeated, repeated, "ran again"),
        (toll.queued, bounds.queued, "had not come to an end"),
        (toll.unexplained, bounds.unexplained, "ran again though no fault explains it"),
    )
    found = [f"{count} jobs {what}, at most {most} may" for count, most, what in checks if count > most]
    if lost := toll.lost_by.get(promised, 0):
        found.append(f"{lost} jobs were lost by nodes of the {promised} transport, none may")
    if ended > bounds.ended:
        found.append(f"{ended} nodes ended by themselves, at most {bounds.ended} may")
    if resumed_s is None:
        if not hanging:
            found.append("work did not go on: no node runs")
        elif len(hanging) > bounds.hangs:
            found.append(f"work did not go on: {', '.join(hanging)} takes no job")
    elif resumed_s > resume_s:
        found.append(f"work went on after {resumed_s:.1f} s, within {resume_s:g} s it should")
    return found


def upper_share(lost: int, sent: int) -> float:
    """Return the share of lost jobs that is not exceeded with 95 %: 3/n if none was; else by Wilson's interval."""
    if not sent:
        return 1.0
    if not lost:
        return min(1.0, CONFIDENCE_OF_NONE / sent)
    share, z = lost / sent, ONE_SIDED_95
    middle = share + z * z / (2 * sent)
    half = z * math.sqrt(share * (1 - share) / sent + z * z / (4 * sent * sent))
    return min(1.0, (middle + half) / (1 + z * z / sent))


def resumed_after_s(notes: Iterable[Note], healed_at: float) -> float | None:
    """Return the time from when a fault was over to the next job that began; None if none did."""
    return min((each.at - healed_at for each in notes if each.what == BEGUN and each.at >= healed_at), default=None)


SLOWED_S = 1.0
"""A job that took so much longer than the slowest before a fault was held up by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """
    Jobs that a fault held up.

    Attributes:
        jobs: How many took longer, from when they were sent until they were done, than any before the fault.
        slowest_s: The longest that one took.
        recovered_s: The time from when the fault struck until the last of them was done; 0 if there was none.
    """

    jobs: int
    slowest_s: float
    recovered_s: float


def held_up(sent_at: Mapping[str, float], notes: Iterable[Note], struck_at: float) -> HeldUp:
    """
    Find the jobs that a fault held up. Jobs that were never done are not among them.

    Args:
        sent_at: When each job was sent.
        notes: The ledger of effects.
        struck_at: When the fault struck.
    """
    done: dict[str, float] = {}
    for each in notes:
        if each.what == DONE:
            done.setdefault(each.job, each.at)
    took_s = {job: at - sent_at[job] for job, at in done.items()}
    usual_s = max((took_s[job] for job, at in done.items() if at < struck_at), default=0.0)
    slow = [job for job, at in done.items() if at >= struck_at and took_s[job] > usual_s + SLOWED_S]
    return HeldUp(
        jobs=len(slow),
        slowest_s=max(took_s.values(), default=0.0),
        recovered_s=max((done[job] - struck_at for job in slow), default=0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNode:
    """
    What was seen of a node that the drill did not start.

    Attributes:
        node: Its name.
        what: What it did: `went`, `came`, `came back` or `was started again`.
        at_s: When, in seconds since the load began.
    """

    node: str
    what: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    A stretch in which a slot ran a job.

    Attributes:
        slot: The node, and the process and thread in it.
        job: The identity of the job.
        begin_s: When it began, in seconds since the load did.
        end_s: When it was done; None if no note says so.
    """

    slot: str
    job: str
    begin_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """
    What a drill found in one cell.

    Attributes:
        drill: The name of the drill.
        cell: The name of the cell.
        toll: What the fault cost; None if it was not tried.
        short: In words, where that is more than is expected.
        skipped: Why it was not tried; empty if it was.
        resumed_s: The time after which work went on, from when the fault was over; None if it did not.
        settled_s: The time after which the last job was done, from when the fault was over; None if none was.
        struck: The faults, with the seconds since the load began.
        told: Jobs that were not simply done once.
        ended: In words, the nodes that ended by themselves, and were started again.
        hanging: The nodes that ran on and took no job any more.
        runs: What ran where.
        longest_s: The longest run of a job, in seconds.
        said: What an operator sees: the first warnings and errors of the logs of nodes, from the fault on.
        took_s: How long it took, in seconds.
        repeats: How often it was tried; all that is counted is of all of them, and times are the longest.
        kept: In how many of them the fault cost no more than it may.
        held_up: The jobs that the fault held up; None where the drill had a fleet of its own.
        seen: What was seen of nodes that the drill did not start.
        nodes: How many of them there were at first; None where the drill started them.
    """

    drill: str
    cell: str
    toll: Toll | None = None
    short: Sequence[str] = ()
    skipped: str = ""
    resumed_s: float | None = None
    settled_s: float | None = None
    struck: Sequence[tuple[str, float]] = ()
    told: Sequence[JobFate] = ()
    ended: Sequence[str] = ()
    hanging: Sequence[str] = ()
    runs: Sequence[Run] = ()
    longest_s: float = 0.0
    said: Sequence[str] = ()
    took_s: float = 0.0
    repeats: int = 1
    kept: int | None = None
    held_up: HeldUp | None = None
    seen: Sequence[SeenNode] = ()
    nodes: int | None = None

    @property
    def as_expected(self) -> bool:
        """Whether the fault cost no more than it may, or was not tried."""
        return not self.short


def all_of(results: Sequence[CellResult]) -> CellResult:
    """
    Return what all repeats of a drill in a cell found together.

    Jobs and faults are counted over all of them; what ran where is of the first in which it cost more than it may, or
    else of the first.

    Args:
        results: At least one.
    """
    if len(results) == 1:
        return results[0]
    tolls = [each.toll for each in results if each.toll is not None]
    reasons = Counter(reason for each in results for reason in each.short)
    told = next((each for each in results if each.short), results[0])
    return replace(
        told,
        toll=_sum_of(tolls) if tolls else None,
        short=[f"{reason} (in {count} of {len(results)})" for reason, count in reasons.items()],
        resumed_s=_longest(each.resumed_s for each in results),
        settled_s=_longest(each.settled_s for each in results),
        struck=[strike for each in results for strike in each.struck],
        ended=[line for each in results for line in each.ended],
        hanging=[name for each in results for name in each.hanging],
        longest_s=max(each.longest_s for each in results),
        said=list(dict.fromkeys(line for each in results for line in each.said)),
        took_s=sum(each.took_s for each in results),
        repeats=len(results),
        kept=sum(each.as_expected for each in results),
        held_up=_most_held_up([each.held_up for each in results if each.held_up]),
        seen=[seen for each in results for seen in each.seen],
    )


def _most_held_up(found: Sequence[HeldUp]) -> HeldUp | None:
    if not found:
        return None
    return HeldUp(
        jobs=sum(each.jobs for each in found),
        slowest_s=max(each.slowest_s for each in found),
        recovered_s=max(each.recovered_s for each in found),
    )


def _sum_of(tolls: Sequence[Toll]) -> Toll:
    counts = {
        name: sum(getattr(toll, name) for toll in tolls)
        for name in ("sent", "refused", "done", "failed", "set_aside", "queued", "lost", "repeated", "unexplained")
    }
    lost_by = Counter[str]()
    for toll in tolls:
        lost_by.update(toll.lost_by)
    hurt = [toll.neighbours for toll in tolls if toll.neighbours is not None]
    return Toll(
        **counts,
        most_runs=max(toll.most_runs for toll in tolls),
        lost_by=dict(lost_by),
        neighbours=sum(hurt) if hurt else None,
    )


def _longest(times_s: Iterable[float | None]) -> float | None:
    """Return the longest of several times; None if one never came to its end."""
    found = list(times_s)
    return None if None in found else max(each for each in found if each is not None)


OWN_HOST = "@drill"
"""What the names of nodes end with that a drill starts: it tells nothing."""


def runs_of(notes: Iterable[Note], began_at: float) -> list[Run]:
    """Return what ran where: each begin of a job with the next note of its slot that it is done."""
    runs: list[Run] = []
    open_: dict[tuple[str, int, int], int] = {}
    for each in notes:
        slot = (each.node, each.pid, each.thread)
        if each.what == BEGUN:
            open_[slot] = len(runs)
            name = f"{each.node.removesuffix(OWN_HOST)} {each.pid}/{each.thread}"
            runs.append(Run(slot=name, job=each.job, begin_s=each.at - began_at, end_s=None))
        elif each.what == DONE and slot in open_ and runs[open_[slot]].job == each.job:
            number = open_.pop(slot)
            runs[number] = replace(runs[number], end_s=each.at - began_at)
    return runs
