"""The broker is killed, and started again without what it had."""

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill, window

BURST = 20
"""So many jobs are sent at once before, and most of them wait."""

GONE = BURST + 2 * window()

DRILL = Drill(
    title="The broker is killed and started again; it keeps nothing on disk.",
    documented="Redis without persistence forgets all; nodes connect again.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis",
    # Kombu's own transport may end the node, by an acknowledgement that has no connection.
    expected={"safe": Bounds(), "late-atomic": Bounds(lost=GONE), "any": Bounds(lost=GONE, ended=1)},
)


def strike(scene: Scene) -> None:
    """Kill the broker, and start it again."""
    scene.send_burst(BURST, 0.1)
    scene.struck("broker killed")
    scene.server.kill()
    scene.wait(0.5)
    scene.server.start_again()
