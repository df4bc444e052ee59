"""A node is killed."""

from producer.measure.scene import Scene
from producer.plan.drill import SLOTS, Bounds, Drill

DRILL = Drill(
    title="A node under load is killed, as by a crash of its machine, and another takes its place.",
    documented="Jobs are acknowledged before they run, so a crash loses those that run; with acks_late they run again.",
    source="docs.celeryq.dev: userguide/tasks, Task.acks_late",
    # Kombu takes a job with one command and notes it with the next: one may be lost besides.
    expected={"early": Bounds(lost=SLOTS + 1), "late-stock": Bounds(lost=1)},
)


def strike(scene: Scene) -> None:
    """Kill the node in the middle of a job, and start another."""
    scene.kill(scene.until_at_work(), "node killed")
    scene.start_node()
