"""Jobs that are due later than the visibility timeout."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

LATER = 6

DRILL = Drill(
    title=f"{LATER} jobs have a countdown of three visibility timeouts, on two nodes.",
    documented="A job whose ETA lies beyond the visibility timeout is given to another node, and runs again and again.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis, Visibility timeout",
    # Whatever the acknowledgement: a job is acknowledged when it is due, at the earliest.
    expected={name: Bounds(repeated=LATER) for name in ("early-stock", "late-stock")} | {"any": Bounds(repeated=0)},
    nodes=2,
    waits_timeouts=3,
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Send such jobs, and wait for the last."""
    scene.struck("jobs waited for longer than the timeout")
    jobs = [scene.sender.send("drill.wait", 0.02, after_s=3 * scene.visibility_s) for _ in range(LATER)]
    scene.until_noted(jobs[-1])
