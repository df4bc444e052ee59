"""The broker is far away."""

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="Each round trip to the broker takes 0.5, 5 and 50 ms, for two seconds each.",
    documented="Nothing.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis",
    expected={"any": Bounds(repeated=0)},
    link=True,
)


def strike(scene: Scene) -> None:
    """Slow the link down step by step."""
    for rtt_s in (0.0005, 0.005, 0.05):
        scene.struck(f"round trip of {1000 * rtt_s:g} ms")
        scene.link.slow_down(rtt_s)
        scene.wait(2)
    scene.link.slow_down(0)
