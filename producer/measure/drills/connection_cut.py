"""Every connection is cut."""

from producer.measure.any_scene import AnyScene
from producer.plan.drill import Bounds, Drill

DRILL = Drill(
    title="The broker closes every connection, as a firewall or a failover does.",
    documented="Nodes connect again. Jobs that acknowledge late may run twice, as their acknowledgement is lost.",
    source="docs.celeryq.dev: userguide/configuration, worker_cancel_long_running_tasks_on_connection_loss",
    expected={"any": Bounds()},
)


def strike(scene: AnyScene) -> None:
    """Cut all connections, twice."""
    for _ in range(2):
        scene.cut_connections("connections cut")
        scene.wait(1)
