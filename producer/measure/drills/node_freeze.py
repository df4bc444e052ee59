"""A node stands still, and goes on."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="One of two nodes stands still for two visibility timeouts, as a paused virtual machine, and goes on.",
    documented="What is not acknowledged within the visibility timeout is given to another node, and runs twice.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis, Visibility timeout",
    expected={"any": Bounds()},
    nodes=2,
)


def strike(scene: Scene) -> None:
    """Stop all processes of a node for a while, in the middle of a job."""
    node = scene.until_at_work()
    scene.stop_all(node, signal.SIGSTOP)
    scene.struck("node stood still")
    scene.wait(2.5 * scene.visibility_s)
    scene.stop_all(node, signal.SIGCONT)
