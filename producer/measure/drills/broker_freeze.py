"""The broker stands still."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="The broker stands still for two seconds, as while it saves or swaps, and goes on.",
    documented="Nodes wait for it; nothing is promised.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis",
    expected={"any": Bounds()},
)


def strike(scene: Scene) -> None:
    """Stop the broker for a while."""
    scene.struck("broker stood still")
    scene.server.process.process.send_signal(signal.SIGSTOP)
    scene.wait(2)
    scene.server.process.process.send_signal(signal.SIGCONT)
