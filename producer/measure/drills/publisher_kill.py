"""A publisher is killed in the middle of a batch, and run again."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

BATCH = 60

DRILL = Drill(
    title=f"A publisher is killed in the middle of a batch of {BATCH} jobs, and sends the whole batch again.",
    documented="Nothing: Celery does not know that two messages are the same job.",
    source="docs.celeryq.dev: userguide/calling",
    expected={"any": Bounds(repeated=BATCH)},
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Kill a process that sends a batch, and start it again with the same batch."""
    publisher = scene.begin_batch(BATCH)
    scene.until_begun(publisher.batch.jobs[BATCH // 2])
    publisher.kill()
    scene.struck("batch sent again", also=publisher.batch.jobs)
    publisher.run_again()
