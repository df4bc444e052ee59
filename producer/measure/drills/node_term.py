"""A node is asked to end."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import Drill, warm_shutdown

DRILL = Drill(
    title="A node under load gets SIGTERM, and another takes its place.",
    documented="A warm shutdown: the node takes no more jobs and finishes those that it runs.",
    source="docs.celeryq.dev: userguide/workers, Warm shutdown",
    expected=warm_shutdown(1),
)


def strike(scene: Scene) -> None:
    """Ask the node to end, wait for it, and start another."""
    node = scene.until_at_work()
    scene.ask_to_end(node, signal.SIGTERM, "node asked to end")
    scene.start_node()
    scene.wait_for_end(node)
