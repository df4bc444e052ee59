"""A job that takes too much memory."""

from producer.errors import FleetError
from producer.measure.scene import Scene
from producer.plan.drill import POISON, Drill

DRILL = Drill(
    title="A job takes more memory than the node may have, and the kernel kills the process that has most.",
    documented="The job fails with WorkerLostError, and the pool starts another process.",
    source="docs.celeryq.dev: userguide/configuration, task_reject_on_worker_lost",
    expected=POISON,
    load_s=6.0,
    memory_mib=400,
    own_jobs=True,
)


def strike(scene: Scene) -> None:
    """Send such a job, and start a node whenever one has ended."""
    job = scene.sender.send("drill.eat", 800)
    scene.struck("a job took too much memory")
    scene.wait(DRILL.load_s)
    if job in scene.ledger.done():
        raise FleetError("The kernel did not enforce the limit of memory.")
