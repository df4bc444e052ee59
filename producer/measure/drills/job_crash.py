"""A job that crashes its process."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import POISON, Drill

DRILL = Drill(
    title="A job crashes its process, as an extension module does that reads memory which is not its own.",
    documented="The job fails with WorkerLostError, and the pool starts another process.",
    source="docs.celeryq.dev: userguide/configuration, task_reject_on_worker_lost",
    expected=POISON,
    load_s=6.0,
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Send such a job, and start a node whenever one has ended."""
    scene.sender.send("drill.crash")
    scene.struck("a job crashed its process")
    scene.wait(DRILL.load_s)
