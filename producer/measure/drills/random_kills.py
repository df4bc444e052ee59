"""Whatever there is is killed, again and again."""

import random

from producer.measure.scene import Scene
from producer.plan.drill import COUNTED, MANY, NONE_LOST, Bounds, Drill

DRILL = Drill(
    title="Nodes, processes of slots, all connections and the broker, which keeps all on disk, are killed at random.",
    documented="See the drills of each of these faults.",
    source="docs.celeryq.dev: userguide/tasks, Task.acks_late",
    expected={"safe": Bounds(repeated=MANY, ended=MANY), "late-atomic": NONE_LOST, "any": COUNTED},
    nodes=4,
    aof=True,
    return_limit=100,
    times=20,
)


def strike(scene: Scene) -> None:
    """Kill something as often as the scene says, each after a while."""
    chance = random.Random(1)  # noqa: S311 - no secrets
    for _ in range(scene.times):
        scene.kill_at_random(chance)
        scene.wait(chance.uniform(0.05, 0.35))
