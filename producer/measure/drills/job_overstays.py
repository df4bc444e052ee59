"""A job past its time limits."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="A job takes no notice of its soft time limit of 1 s, and would run past the hard one of 2 s.",
    documented="The process of a job that exceeds the hard limit is killed and replaced; threads have no time limits.",
    source="docs.celeryq.dev: userguide/workers, Time Limits",
    expected={
        "children-any": Bounds(failed=1, repeated=0),
        "children-safe": Bounds(failed=1, repeated=0),
        "any": Bounds(repeated=0),
    },
    own_jobs=True,
)


def strike(scene: AnyScene) -> None:
    """Send such a job, and wait for its end."""
    scene.struck("a job overstayed")
    scene.sender.send("drill.overstay", 2.8)
    scene.wait(3)
