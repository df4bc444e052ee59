"""A deploy under load."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import Drill, warm_shutdown

DRILL = Drill(
    title="Two nodes are replaced in turn under load: a new one is ready before the old one is asked to end.",
    documented="A warm shutdown finishes the jobs that run, and gives back those that were taken ahead.",
    source="docs.celeryq.dev: userguide/workers, Warm shutdown",
    expected=warm_shutdown(2),
    nodes=2,
)


def strike(scene: Scene) -> None:
    """Replace both nodes."""
    for node in scene.nodes[:2]:
        scene.start_node()
        scene.until_at_work()
        scene.ask_to_end(node, signal.SIGTERM, "node replaced")
        scene.wait_for_end(node)
