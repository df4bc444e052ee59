"""A node is told to end at once."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import SLOTS, Bounds, Drill

DRILL = Drill(
    title="A node under load gets SIGQUIT, and another takes its place.",
    documented="A cold shutdown ends the jobs that run; those that acknowledge late are given back.",
    source="docs.celeryq.dev: userguide/workers, Cold shutdown",
    expected={"early": Bounds(lost=SLOTS, failed=SLOTS)},
)


def strike(scene: Scene) -> None:
    """Tell the node to end at once, wait for it, and start another."""
    node = scene.until_at_work()
    scene.ask_to_end(node, signal.SIGQUIT, "node told to end at once")
    scene.start_node()
    scene.wait_for_end(node)
