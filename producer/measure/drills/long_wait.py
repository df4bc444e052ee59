"""Jobs that wait in a node for longer than the visibility timeout."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import MANY, Bounds, Drill

AGAIN = Bounds(repeated=MANY, unexplained=MANY, queued=MANY)
DRILL = Drill(
    title="Jobs that two nodes have taken ahead wait for three visibility timeouts, behind a long job in each slot.",
    documented="What is not acknowledged within the visibility timeout is given to another node, and runs twice.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis, Visibility timeout",
    # An outbox sends again what it waits for too long.
    expected={"early-stock": AGAIN, "late-stock": AGAIN, "outbox": Bounds(repeated=MANY), "any": Bounds(repeated=0)},
    nodes=2,
    rate_per_s=20.0,
    waits_timeouts=3,
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Send as many long jobs as there are slots, and wait for their end."""
    jobs = [scene.sender.send("drill.wait", 3 * scene.visibility_s) for _ in range(scene.slots)]
    scene.struck("jobs waited in their nodes", also=jobs)
    for job in jobs:
        scene.until_noted(job)
