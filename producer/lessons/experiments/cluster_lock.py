"""Where a lock has to live, and what it costs there."""

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Nodes, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, only_if
from producer.lessons.timing import together_s

JOBS, ADDS = 12, 5

FLEETS = {"threads": ("threads", 4, 1), "prefork": ("prefork", 4, 1), "three": ("threads", 2, 3)}
WAYS = {"nothing": "no lock", "process_lock": "threading.Lock",
        "redis_lock": "a lock in Redis", "incr": "INCR", "script": "a Lua script"}  # fmt: skip
NAMES = {"threads": "one node of threads", "prefork": "one node of processes", "three": "three nodes of threads"}

LESSON = Lesson(
    order=18,
    vietnamese="",
    english="A lock guards a counter that jobs share.",
    tried=f"{JOBS} jobs add {ADDS} times each to a counter in Redis, by reading and writing it: without a lock, with a "
    "threading.Lock, with a lock in Redis; then by INCR and by a Lua script. On one node of 4 threads, on one of 4 "
    "processes, and on three nodes of 2 threads.",
    question="With a threading.Lock around each update, how many per cent are lost on three nodes?",
    guessed="three_process_lock",
    measures={
        **{f"{at}_{way}": Measure(title=f"{NAMES[at]}, {WAYS[way]}: lost", unit="%") for at in NAMES for way in WAYS},
        **{f"rate_{way}": Measure(title=f"three nodes, {title}", unit="updates/s") for way, title in WAYS.items()},
    },
    expected=(Verdict.ONLY_IF, Verdict.ONLY_IF),
    advice="A lock in the process does not guard the cluster, and on prefork not even the node. Let Redis or the "
    "database do the step (INCR, a script, UPDATE); a lock there costs most of the speed, and needs a time to expire.",
)


def observe(bench: Bench) -> Observed:
    """Add to a counter on each fleet in each way."""
    fleets = {name: bench.nodes(pool, slots, nodes=nodes) for name, (pool, slots, nodes) in FLEETS.items()}
    while True:
        seen = {f"{fleet}_{way}": add(nodes, way) for fleet, nodes in fleets.items() for way in WAYS}
        rates = {f"rate_{way}": seen[f"three_{way}"][1] for way in WAYS}
        yield Seen(figures={**{name: lost for name, (lost, _) in seen.items()}, **rates})


def add(nodes: Nodes, way: str) -> tuple[float, float]:
    """Run the jobs; return the share of updates that were lost, and the updates that were done per second."""
    key = f"{nodes.queue}.{way}"
    ran = nodes.run(*[("add", key, way, ADDS)] * JOBS)
    [total] = nodes.run(("take_count", key))
    return 1 - total.value / (JOBS * ADDS), JOBS * ADDS / together_s(ran)


def judge(found: Found) -> Judgement:
    """Judge by what a lock in the process loses, on one node of threads and elsewhere."""
    inside, processes, nodes = (found[f"{fleet}_process_lock"] for fleet in FLEETS)
    if inside.below(0.001) and processes.above(0.05) and nodes.above(0.05):
        in_redis = ("redis_lock", "incr", "script")
        lost = max(found[f"{fleet}_{way}"].value for fleet in FLEETS for way in in_redis)
        rates = ", ".join(f"{WAYS[way]} {found[f'rate_{way}'].value:.0f}" for way in in_redis)
        return only_if(
            f"all that share it use the same lock: a threading.Lock lost nothing on one node of threads, "
            f"{processes:.0%} on processes and {nodes:.0%} on three nodes. In Redis "
            f"{'nothing' if lost == 0 else 'at most ' + format(lost, '.0%')} was lost; updates/s: {rates}."
        )
    if inside.above(0.05):
        return false(f"a threading.Lock lost {inside:.0%} of the updates of one process.")
    return not_shown(f"a threading.Lock lost {processes:.0%} on processes and {nodes:.0%} on three nodes.")


picture = bars(LESSON, "Updates lost", *(f"{fleet}_{way}" for fleet in FLEETS for way in WAYS), unit="%", full=1)
