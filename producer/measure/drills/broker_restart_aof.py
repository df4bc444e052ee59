"""The broker is killed, and started again with what it had."""

from producer.measure.scene import Scene
from producer.plan.drill import SLOTS, Bounds, Drill

DRILL = Drill(
    title="The broker is killed and started again; it keeps all on disk (appendonly yes, appendfsync everysec).",
    documented="Redis finds what it had written; nodes connect again.",
    source="redis.io: docs/management/persistence",
    # Kombu's own transport may end the node, by an acknowledgement that has no connection.
    expected={"early-stock": Bounds(lost=SLOTS + 1, ended=1), "late-stock": Bounds(lost=1, ended=1)},
    aof=True,
)


def strike(scene: Scene) -> None:
    """Kill the broker, and start it again."""
    scene.struck("broker killed")
    scene.server.kill()
    scene.wait(0.5)
    scene.server.start_again()
