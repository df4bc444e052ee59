"""Each process of a node is asked to end."""

import signal

from producer.measure.scene import Scene
from producer.plan.drill import SLOTS, Bounds, Drill

DRILL = Drill(
    title="All processes of a node get SIGTERM, as by systemd without KillMode=mixed, and another takes its place.",
    documented="A warm shutdown finishes the jobs that run; what a signal to their own processes does is not said.",
    source="docs.celeryq.dev: userguide/daemonizing",
    expected={"children-any": Bounds(failed=SLOTS, repeated=0), "children-safe": Bounds(repeated=SLOTS)},
)


def strike(scene: Scene) -> None:
    """Ask all processes to end, wait for the node, and start another."""
    node = scene.until_at_work()
    scene.ask_all_to_end(node, signal.SIGTERM, "all processes asked to end")
    scene.start_node()
    scene.wait_for_end(node)
