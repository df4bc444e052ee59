"""A node is asked to end."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Drill, warm_shutdown

DRILL = Drill(
    title="A node under load gets SIGTERM, and another takes its place.",
    documented="A warm shutdown: the node takes no more jobs and finishes those that it runs.",
    source="docs.celeryq.dev: userguide/workers, Warm shutdown",
    expected=warm_shutdown(1),
)


def strike(scene: AnyScene) -> None:
    """Ask the node to end in the middle of a job, and have another take its place."""
    scene.replace_node(scene.slot_at_work().node, "node asked to end")
