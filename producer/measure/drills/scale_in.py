"""Fewer nodes under load."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import Drill, warm_shutdown

DRILL = Drill(
    title="Of three nodes two are asked to end at the same time, under load.",
    documented="A warm shutdown finishes the jobs that run, and gives back those that were taken ahead.",
    source="docs.celeryq.dev: userguide/workers, Warm shutdown",
    expected=warm_shutdown(2),
    nodes=3,
)


def strike(scene: Scene) -> None:
    """Ask two nodes to end."""
    scene.until_at_work()
    for node in scene.nodes[:2]:
        scene.ask_to_end(node, signal.SIGTERM, "node removed")
    for node in scene.nodes[:2]:
        scene.wait_for_end(node)
