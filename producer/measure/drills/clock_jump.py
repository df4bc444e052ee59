"""The clock of a node jumps."""

from producer.measure.scene import Scene
from producer.plan.drill import Bounds, Drill, window

DRILL = Drill(
    title="The clock of one of two nodes jumps an hour ahead for five seconds, as by a wrong time server, and back.",
    documented="Nothing. Kombu takes what is due for another node from its own clock.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis, Visibility timeout",
    expected={"any": Bounds(repeated=window(2))},
    nodes=2,
    own_clocks=True,
)


def strike(scene: Scene) -> None:
    """Set the clock of the second node while the first is in the middle of a job, and set it back."""
    scene.until_at_work(2.0)
    scene.clocks["node-2"].set_ahead(3600)
    for _ in range(10):
        scene.struck("clock an hour ahead")
        scene.wait(0.5)
    scene.clocks["node-2"].set_ahead(0)
