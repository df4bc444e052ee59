"""A job that crashes its process."""

from producer.measure.scene import Scene
from producer.plan.drill import SLOTS, Bounds, Drill, window

ENDS = 12
"""So many nodes may end: without a limit on deliveries the job comes again as long as the drill goes on."""

DRILL = Drill(
    title="A job crashes its process, as an extension module does that reads memory which is not its own.",
    documented="The job fails with WorkerLostError, and the pool starts another process.",
    source="docs.celeryq.dev: userguide/configuration, task_reject_on_worker_lost",
    expected={
        "children-any": Bounds(failed=1, repeated=0),
        "children-safe": Bounds(set_aside=1, repeated=1),
        # Acknowledged early all the same: the node is gone before the acknowledgement is sent.
        "one-process-early": Bounds(lost=ENDS * (SLOTS + 1), queued=1, ended=ENDS),
        "one-process-late-stock": Bounds(lost=ENDS, queued=1, ended=ENDS),
        # What a dead node had taken ahead has been lost as often as the job that ended it.
        "one-process-late-atomic": Bounds(set_aside=window(), ended=4),
        "one-process-outbox": Bounds(queued=1, set_aside=window(), ended=9),  # sent again, and set aside again
        "one-process-safe": Bounds(set_aside=window(), ended=4),
    },
    load_s=6.0,
)


def strike(scene: Scene) -> None:
    """Send such a job, and start a node whenever one has ended."""
    scene.sender.send("drill.crash")
    scene.struck("a job crashed its process")
    scene.wait(DRILL.load_s)
