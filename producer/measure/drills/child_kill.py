"""A process of a slot is killed."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="The process of one slot is killed while it works, as by the kernel when memory is out.",
    documented="The job fails with WorkerLostError; with task_reject_on_worker_lost it runs again.",
    source="docs.celeryq.dev: userguide/configuration, task_reject_on_worker_lost",
    expected={"any": Bounds(failed=1, repeated=0), "safe": Bounds(repeated=1)},
    needs_children=True,
)


def strike(scene: AnyScene) -> None:
    """Kill a child in the middle of a job."""
    scene.kill_slot("process of a slot killed")
