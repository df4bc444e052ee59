"""A node is told to end at once, and has a while for its jobs."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="A node with worker_soft_shutdown_timeout=5 gets SIGQUIT under load, and another takes its place.",
    documented="A soft shutdown lets the jobs that run finish within the timeout, and gives back the rest.",
    source="docs.celeryq.dev: userguide/workers, Soft shutdown",
    # Kombu's own transport gives back what it has delivered, also what has just ended.
    expected={"late-stock": Bounds(), "any": Bounds(repeated=0)},
    flags=("worker_soft_shutdown_timeout=5",),
)


def strike(scene: Scene) -> None:
    """Tell the node to end, wait for it, and start another."""
    node = scene.until_at_work()
    scene.ask_to_end(node, signal.SIGQUIT, "node told to end softly")
    scene.start_node()
    scene.wait_for_end(node)
