"""
What a drill is: a fault, the load and the nodes that it strikes, and what may be lost by it. Pure.

A cell is one way to run the fleet that a drill tries: a pool, when jobs are acknowledged, a transport, a profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from poolrace.pools import DEFAULT_POOLS, POOLS
from poolrace.profiles import SAFE, Where, settings_of, transport_in
from poolrace.transport_setting import ATOMIC, STOCK

EARLY, LATE = "early", "late"
OWN = "own"
"""The settings of a user's app, as it is."""

OUTBOX = "outbox"
"""The safe profile, with senders that have an outbox."""

CHILDREN, ONE_PROCESS = "children", "one-process"
"""What bounds name pools by: whether each slot is a process of its own, or all are in one."""

SLOTS, PREFETCH = 2, 4
"""The concurrency of each node, and the jobs that it takes ahead for each slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """
    One way to run the fleet.

    Attributes:
        pool: The pool of the nodes.
        acks: When jobs are acknowledged: `early`, when a slot accepts them, or `late`, when they have ended.
        transport: `stock`, kombu's own, or `atomic`, `poolrace.transport`.
        profile: The profile of settings; empty for none.
        without: Settings of the profile that are left out, to see what they are for.
        is_own: Whether acknowledgement and transport are those of a user's app as it is.
        queue: The queue of nodes that run already, where there may be several lanes of a pool; else empty.
    """

    pool: str
    acks: str
    transport: str
    profile: str = ""
    without: tuple[str, ...] = ()
    is_own: bool = False
    queue: str = ""

    @property
    def name(self) -> str:
        """The name in reports and on the command line, e.g. `prefork-late-atomic`, `threads-safe` or `threads-own`."""
        way = self.profile or (OWN if self.is_own else f"{self.acks}-{self.transport}")
        plain = f"{self.pool}-{way}" + (f"-of-{self.queue}" if self.queue else "")
        return "-without-".join([plain, *self.without])

    def leaving_out(self, *names: str) -> Cell:
        """Return the same cell without some settings of its profile."""
        settings = settings_of(SAFE, Where.APP, names)
        acks = LATE if settings.get("task_acks_late") else EARLY
        return replace(self, acks=acks, transport=transport_in(settings), without=names)

    @property
    def has_aof(self) -> bool:
        """Whether its profile has the broker keep what it has on disk."""
        return bool(self.profile) and "appendonly" in settings_of(SAFE, Where.BROKER, self.without)

    @property
    def has_outbox(self) -> bool:
        """Whether jobs are sent by an outbox."""
        return self.profile == OUTBOX

    @property
    def has_children(self) -> bool:
        """Whether its slots are processes of their own."""
        return POOLS[self.pool].has_children


def cells(pools: tuple[str, ...] = DEFAULT_POOLS) -> tuple[Cell, ...]:
    """Return the cells of some pools, by default of those that are raced: each without a profile, and the safe one."""
    plain = [(EARLY, STOCK), (LATE, STOCK), (LATE, ATOMIC)]
    return tuple(
        cell
        for pool in pools
        for cell in (
            *(Cell(pool=pool, acks=acks, transport=transport) for acks, transport in plain),
            *(Cell(pool=pool, acks=LATE, transport=ATOMIC, profile=profile) for profile in (SAFE, OUTBOX)),
        )
    )


def own_cells(acks: str, transport: str, pools: tuple[str, ...] = DEFAULT_POOLS) -> tuple[Cell, ...]:
    """Return the cells of a user's app: as it is, with the safe profile, and with an outbox, on each of some pools."""
    return tuple(
        cell
        for name in pools
        for cell in (
            Cell(pool=name, acks=acks, transport=transport, is_own=True),
            *(Cell(pool=name, acks=LATE, transport=ATOMIC, profile=profile) for profile in (SAFE, OUTBOX)),
        )
    )


def profile_of(acks: str, transport: str, *, rejects: bool, has_aof: bool) -> str:
    """
    Return the profile whose settings nodes that run already have, all of them; empty if they have none's.

    Args:
        acks: When they acknowledge.
        transport: Their transport.
        rejects: Whether a job whose process is gone runs again.
        has_aof: Whether their broker keeps what it has on disk.
    """
    settings = settings_of(SAFE, Where.APP)
    wanted = (LATE if settings["task_acks_late"] else EARLY, transport_in(settings))
    return SAFE if (acks, transport) == wanted and rejects and has_aof else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    The most that a fault may cost in a cell.

    Attributes:
        lost: Jobs that are gone without a word, where nodes have different transports by those of the other one.
        failed: Jobs that their node gave up as failed.
        queued: Jobs that never come to an end.
        set_aside: Jobs that came again too often, and went to the dead letters.
        repeated: Jobs that ran more than once, each explained by the fault; None for as many as a node may hold.
        repeated_per_slot: Further jobs that may run again, for each slot of a node.
        unexplained: Of these, jobs that no node was seen to hold as a fault struck.
        ended: Nodes that ended by themselves, and whose supervisor started another.
        hangs: Nodes that take no job any more until somebody starts them again.
    """

    lost: int = 0
    failed: int = 0
    queued: int = 0
    set_aside: int = 0
    repeated: int | None = None
    repeated_per_slot: int = 0
    unexplained: int = 0
    ended: int = 0
    hangs: int = 0

    def on(self, slots: int) -> Bounds:
        """Return the same for nodes of so many slots each."""
        if self.repeated is None or not self.repeated_per_slot:
            return self
        return replace(self, repeated=self.repeated + slots * self.repeated_per_slot, repeated_per_slot=0)


MANY = 10**9
"""As many as there are: they are counted, and nothing is promised of them."""

NONE_LOST = Bounds(failed=MANY, repeated=MANY, ended=MANY)
COUNTED = Bounds(lost=MANY, failed=MANY, queued=MANY, repeated=MANY, unexplained=MANY, ended=MANY, hangs=MANY)
"""
What is counted and not promised: all but jobs that are lost, or that run again without a reason, and these, too: what
kombu's transport has taken and not yet noted nobody sees. A prefork node of Celery's ends, for one, where a
connection is lost while the process of a slot is gone.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """
    A fault, and what is expected of it.

    Attributes:
        title: What happens, in a sentence.
        documented: What Celery's documentation, or the author of a setting, promises.
        source: Where it says so.
        expected: The bounds by trait, the first that a cell has of: its profile, acknowledgement with transport,
            acknowledgement, `any`; each of them also behind `children-` or `one-process-`. No bounds: it may lose
            nothing, and what the nodes held may run again.
        nodes: The nodes at the beginning.
        rate_per_s: Jobs sent a second.
        job_s: How long a job waits, in seconds.
        load_s: How long jobs are sent, in seconds; the fault comes after a third of it.
        resume_s: The time within which work goes on.
        aof: Whether the broker keeps what it has on disk.
        visibility_s: The visibility timeout of the nodes.
        needs_children: Whether it strikes the process of a slot, which not every pool has.
        flags: Further words of `celery worker`.
        link: Whether nodes reach the broker over a `Link`, which can be slowed down and broken.
        memory_mib: The memory that each node may use with all its processes, which the kernel enforces; None for all.
        own_clocks: Whether each node has a clock that can be set.
        return_limit: How often a job may come back on the atomic transport before it is set aside.
        times: How often it strikes, unless the user says otherwise; 0 for a drill that does not strike again and again.
        beside: The transport of every other node, on the same queue; empty if all have that of the cell.
        failover: Whether the broker has a replica, and sentinels that put it in its place.
        waits_timeouts: How many visibility timeouts it waits for.
        own_jobs: Whether it sends jobs of its own, so that it says nothing of a user's app.
    """

    title: str
    documented: str
    source: str
    expected: Mapping[str, Bounds] = field(default_factory=dict)
    nodes: int = 1
    rate_per_s: float = 40.0
    job_s: float = 0.02
    load_s: float = 3.0
    resume_s: float = 20.0
    aof: bool = False
    visibility_s: int = 3
    needs_children: bool = False
    flags: tuple[str, ...] = ()
    link: bool = False
    memory_mib: int | None = None
    own_clocks: bool = False
    return_limit: int = 3
    times: int = 0
    beside: str = ""
    failover: bool = False
    waits_timeouts: int = 0
    own_jobs: bool = False

    def bounds(self, cell: Cell, slots: int = SLOTS) -> Bounds:
        """Return what the fault may cost in a cell, with so many slots a node: as its profile or its traits promise."""
        # Of a profile, what it promises whole: what is left out of it shows by what it costs.
        # An app whose tasks differ is held to what early acknowledgement allows.
        acks, transport = (LATE, ATOMIC) if cell.profile else (cell.acks, cell.transport)
        acks = acks if acks == LATE else EARLY
        traits = (cell.profile, SAFE if cell.profile else "", f"{acks}-{transport}", acks, "any")
        kind = CHILDREN if cell.has_children else ONE_PROCESS
        names = [name for trait in traits if trait for name in (f"{kind}-{trait}", trait)]
        return next((self.expected[name] for name in names if name in self.expected), Bounds()).on(slots)

    def why_not(self, cell: Cell) -> str:
        """Return why the fault says nothing of a cell; empty if it does."""
        if self.needs_children and not cell.has_children:
            return "no slot of this pool is a process"
        if self.beside and cell.profile:
            return "a profile has one transport for all nodes"
        return f"all its nodes are on the {cell.transport} transport" if self.beside == cell.transport else ""


def window(nodes: int = 1) -> int:
    """Return the jobs that so many nodes may hold at once."""
    return nodes * SLOTS * PREFETCH


def warm_shutdown(nodes: int) -> Mapping[str, Bounds]:
    """
    Return what it may cost that so many nodes are asked to end.

    A job that is on its way to a child just then is forgotten by Celery (`AsynPool.flush`): the child runs it, and the
    node gives it back. So it runs again elsewhere, and the node ends half a minute later.
    """
    return {"children-any": Bounds(repeated=0, repeated_per_slot=nodes), "any": Bounds(repeated=0)}


def own_fault(cell: Cell, *, slots: int, gone: int) -> Bounds:
    """
    Return what a fault of which only its end is known may cost in a cell: what acknowledgement and transport promise.

    Args:
        cell: How the nodes run.
        slots: The slots of each node.
        gone: How often a node went, or was started again.
    """
    if cell.profile or (cell.acks, cell.transport) == (LATE, ATOMIC):
        return Bounds()
    # Kombu takes a job with one command and notes it with the next: one may be lost besides.
    if cell.acks == LATE:
        return Bounds(lost=gone)
    return Bounds(lost=gone * (slots + 1), failed=gone * slots)


FAILOVER = {
    "early-stock": Bounds(lost=SLOTS + 1, ended=1),
    "late-stock": Bounds(lost=1, ended=1),
    "outbox": Bounds(),
    "any": Bounds(lost=1),
}
"""
What it may cost that a replica takes the place of its broker: a job that the broker had taken and not copied yet. No
setting of a node helps that; an outbox does.
"""

ENDS = 12
"""So many nodes may end by a job that ends its process: without a limit on deliveries it comes again and again."""

POISON = {
    "children-any": Bounds(failed=1, repeated=0),
    "children-safe": Bounds(set_aside=1, repeated=1),
    # Acknowledged early all the same: the node is gone before the acknowledgement is sent.
    "one-process-early": Bounds(lost=ENDS * (SLOTS + 1), queued=1, ended=ENDS),
    "one-process-late-stock": Bounds(lost=ENDS, queued=1, ended=ENDS),
    # What a dead node had taken ahead has been lost as often as the job that ended it.
    "one-process-late-atomic": Bounds(set_aside=window(), ended=4),
    # Sent twice, and set aside twice: each time a window of jobs may run again.
    "one-process-outbox": Bounds(queued=1, set_aside=window(), repeated=2 * window(), ended=9),
    "one-process-safe": Bounds(set_aside=window(), ended=4),
}
"""What a job may cost that ends its process, wherever it runs."""
