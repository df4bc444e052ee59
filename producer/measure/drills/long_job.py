"""A job longer than the visibility timeout."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="A job runs for three visibility timeouts, while a second node is free.",
    documented="What is not acknowledged within the visibility timeout is given to another node, and runs twice.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis, Visibility timeout",
    expected={"late-stock": Bounds(repeated=1), "any": Bounds(repeated=0)},
    nodes=2,
    waits_timeouts=3,
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Send such a job, and wait for its end."""
    job = scene.sender.send("drill.wait", 3 * scene.visibility_s)
    scene.wait(0.5)
    scene.struck("a job ran on")
    scene.until_noted(job)
