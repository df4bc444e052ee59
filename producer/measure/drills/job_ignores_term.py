"""A job that does not end when it is told to."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="A job ignores SIGTERM: it is revoked with terminate=True, and its node is asked to end.",
    documented="terminate ends the process that runs the job; a warm shutdown waits for the jobs that run.",
    source="docs.celeryq.dev: userguide/workers, Revoking tasks",
    expected={"any": Bounds(failed=1, repeated=0)},
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Revoke such a job while it runs, ask its node to end, and start another."""
    job = scene.sender.send("drill.ignore_term", 3.0)
    begun = scene.until_begun(job)
    scene.app.control.revoke(job, terminate=True)
    scene.replace_node(begun.node, "job and node told to end")
