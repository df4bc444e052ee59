"""The same on a fleet that is changing its transport."""

from poolrace.transport_setting import STOCK
from producer.measure.drills import random_kills
from producer.plan.drill import COUNTED, Drill

DRILL = Drill(
    title="The same where every other node is on kombu's own transport, on the same queue.",
    documented="See the drills of each of these faults.",
    source="docs.celeryq.dev: userguide/tasks, Task.acks_late",
    expected={"any": COUNTED},
    nodes=4,
    aof=True,
    return_limit=100,
    times=20,
    beside=STOCK,
)

strike = random_kills.strike
