"""The work of a queue does not fall while nodes prefetch, whichever way they acknowledge; its length does."""

import pytest
from integration.commands import until

from producer.fleet.control import Control
from producer.fleet.queue_work import WorkReader

JOBS, LATER = 10, 3
SLOTS = 2
HELD = 4
"""Jobs that a node takes and has not acknowledged: its slots by their multiplier."""

pytestmark = pytest.mark.heavy


@pytest.fixture
def reading(site):
    control = Control(site.app)
    with site.app.connection_for_read() as connection:
        yield lambda queue: WorkReader(connection, control, [queue])
    control.close()


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_work_is_whole_while_nodes_prefetch(site, reading, tmp_path, pool, late):
    node = site.start_node(f"scaled.{pool}.{late}", pool, task_acks_late=late)
    for _ in range(LATER):
        site.app.send_task("foreign.ok", queue=node.queue, countdown=600)
    reader = reading(node.queue)
    until(lambda: reader.read()[node.queue].later == LATER)
    for _ in range(JOBS):
        site.app.send_task("foreign.held", (str(tmp_path),), queue=node.queue)
    until(lambda: len(list(tmp_path.iterdir())) == SLOTS)
    until(lambda: site.client.llen(node.queue) == JOBS - HELD - (0 if late else SLOTS))
    # What kombu has just popped is in its hand alone, until it has noted it.
    until(lambda: reader.read()[node.queue].unacked == HELD)
    found = reader.read()[node.queue]
    assert (found.work, found.later) == (JOBS, LATER)
    assert found.running == (0 if late else SLOTS)
    assert (found.slots, found.nodes) == (SLOTS, 1)
    assert found.work_per_slot == JOBS / SLOTS
    assert found.ready == site.client.llen(node.queue)
    (tmp_path / "go").touch()
    until(lambda: reader.read()[node.queue].work == 0)


def test_a_queue_that_no_node_consumes_has_work_and_no_slot(site, reading):
    for priority in (0, 9):
        site.app.send_task("foreign.ok", queue="scaled.nobody", priority=priority)
    found = reading("scaled.nobody").read()["scaled.nobody"]
    assert (found.ready, found.work, found.slots, found.work_per_slot) == (2, 2, 0, None)
