"""Ids are as Celery's, and no two are the same."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from poolrace.publishing.ids import AT_ONCE, Ids

MANY = 20 * AT_ONCE


def test_a_task_id_is_a_random_uuid():
    assert UUID(Ids().task_id()).version == 4


def test_no_two_of_several_threads_are_the_same():
    ids = Ids()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: (ids.task_id(), ids.delivery_tag()), range(MANY)))
    assert [len(set(names)) for names in zip(*made, strict=True)] == [MANY, MANY]


def test_a_delivery_tag_has_the_form_of_a_uuid_and_differs_between_processes():
    one, other = Ids(), Ids()
    assert str(UUID(one.delivery_tag()))
    assert one.delivery_tag() != other.delivery_tag()
