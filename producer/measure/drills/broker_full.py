"""The broker has no memory left."""

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill, window

DRILL = Drill(
    title="The broker has no memory left for three seconds (maxmemory, noeviction): it refuses to write.",
    documented="Redis answers with an error to what would need memory; nodes try again.",
    source="redis.io: docs/reference/eviction",
    # Kombu takes a job with one command, which is allowed, and notes it with the next, which is not.
    expected={"early-stock": Bounds(lost=window(), ended=1), "late-stock": Bounds(lost=window(), ended=1)},
)


def strike(scene: Scene) -> None:
    """Leave the broker no memory for a while."""
    scene.struck("broker full")
    scene.set_broker("maxmemory", "1")
    scene.wait(3)
    scene.set_broker("maxmemory", "0")
