"""The broker is gone for good, and sentinels put its replica in its place."""

from producer.measure.scene import Scene
from producer.plan.drill import FAILOVER, Drill

DRILL = Drill(
    title="The broker is killed; three sentinels put its replica in its place (down-after-milliseconds 500).",
    documented="Redis copies what it has to replicas afterwards: what was not copied yet is lost.",
    source="redis.io: docs/management/sentinel",
    expected=FAILOVER,
    resume_s=30.0,
    failover=True,
    own_jobs=True,
)


def strike(scene: Scene) -> None:
    """Kill the broker, and wait until its replica has its place."""
    scene.struck("broker killed")
    scene.server.kill()
    scene.wait_for_failover()
