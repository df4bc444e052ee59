"""Jobs that leave memory behind."""

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill

LEAKING, LEFT_MIB = 12, 30

DRILL = Drill(
    title=f"{LEAKING} jobs leave {LEFT_MIB} MiB behind each; nodes are started with --max-memory-per-child=150000.",
    documented="A process that exceeds the limit is replaced after its job; threads have no such limit.",
    source="docs.celeryq.dev: userguide/workers, Max memory per child setting",
    expected={"any": Bounds(repeated=0)},
    flags=("--max-memory-per-child", "150000"),
    own_jobs=True,
)


def strike(scene: Scene) -> None:
    """Send such jobs, and wait for the last."""
    jobs = [scene.sender.send("drill.leak", LEFT_MIB) for _ in range(LEAKING)]
    scene.struck("jobs left memory behind")
    scene.until_noted(jobs[-1])
