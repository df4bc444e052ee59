"""Packets to and from the broker vanish."""

from producer.measure.scene import Scene
from producer.plan.drill import MANY, SLOTS, Bounds, Drill

DRILL = Drill(
    title="All that nodes and broker send vanishes for two seconds; connections of before stay dead without a word.",
    documented="Connections have no timeout unless broker_transport_options has socket_timeout or socket_keepalive.",
    source="docs.celeryq.dev: getting-started/backends-and-brokers/redis",
    expected={
        "early-stock": Bounds(lost=SLOTS + 1, queued=MANY, hangs=1),  # a job may go to a connection that is dead
        "late-stock": Bounds(lost=1, queued=MANY, hangs=1),
    },
    rate_per_s=5.0,
    visibility_s=30,
    resume_s=75.0,
    link=True,
)


def strike(scene: Scene) -> None:
    """Break the link for a while."""
    scene.struck("packets vanished")
    scene.link.break_off()
    scene.wait(2)
    scene.link.mend()
