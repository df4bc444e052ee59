"""A job goes to the counterpart of the queue that the app itself would send it to."""

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from poolrace.ownapp.routing import LaneRouter, counterpart, own_queues, race_queue

LANE = "poolrace.r.threads"


def app_of(**settings):
    app = Celery("post", broker="memory://", set_as_current=False)
    app.conf.update(
        task_queues=[
            Queue("mail", Exchange("post", type="topic"), routing_key="mail.#"),
            Queue("parcels", Exchange("post", type="topic"), routing_key="parcel.*"),
            Queue("reports", Exchange("office", type="direct"), routing_key="report"),
        ],
        task_default_queue="mail",
        task_routes={
            "post.report": {"queue": "reports"},
            "post.parcel": {"exchange": "post", "routing_key": "parcel.x"},
        },
    )
    app.conf.update(settings)
    return app


def router_of(app=None, named=()):
    app = app or app_of()
    return LaneRouter(app, LANE, own_queues(app, named))


def destination(router, name="post.letter", **options):
    return router.route(options, name)["queue"].name


def test_a_lanes_queue_stands_for_the_default_queue():
    assert counterpart(LANE, "") == LANE
    assert counterpart(LANE, "reports") == "poolrace.r.threads.reports"
    assert own_queues(app_of()) == ("parcels", "reports")
    assert destination(router_of()) == LANE
    assert destination(router_of(), queue="mail") == LANE


def test_a_queue_of_a_race_has_an_exchange_of_its_own():
    queue = race_queue(LANE)
    assert (queue.name, queue.exchange.name, queue.exchange.type, queue.routing_key) == (LANE, LANE, "direct", LANE)


@pytest.mark.parametrize(
    ("name", "options", "own"),
    [
        ("post.report", {}, "reports"),
        ("post.letter", {"queue": "reports"}, "reports"),
        ("post.letter", {"queue": Queue("reports", Exchange("office"), routing_key="report")}, "reports"),
        ("post.letter", {"exchange": "office", "routing_key": "report"}, "reports"),
        ("post.letter", {"exchange": Exchange("office"), "routing_key": "report"}, "reports"),
        ("post.parcel", {}, "parcels"),
        ("post.letter", {"routing_key": "parcel.small"}, "parcels"),
        ("post.letter", {"routing_key": "mail.a.b"}, ""),
        ("post.letter", {"exchange": "post", "routing_key": "parcel.a.b"}, ""),
        ("post.letter", {"exchange": "elsewhere", "routing_key": "report"}, ""),
        ("post.report", {"queue": "parcels"}, "parcels"),
    ],
)
def test_routes_and_bindings_of_the_app_decide(name, options, own):
    assert destination(router_of(), name, **options) == counterpart(LANE, own)


def test_a_router_of_the_apps_own_is_asked_with_the_job():
    def by_size(name, args, kwargs, options, task=None, **_):
        return {"queue": "reports"} if args[0] > 9 or kwargs.get("large") else None

    router = router_of(app_of(task_routes=(by_size,)))
    assert router.own_queue({}, "post.letter", (10,)) == "reports"
    assert router.own_queue({}, "post.letter", (1,), {"large": True}) == "reports"
    assert router.own_queue({}, "post.letter", (1,)) == ""


def test_a_queue_that_only_jobs_name_has_a_counterpart_too():
    router = router_of(named=["letters", "", None, "mail"])
    assert destination(router, queue="letters") == "poolrace.r.threads.letters"
    assert destination(router_of(), queue="letters") == LANE


@pytest.mark.parametrize("create", [True, False])
def test_that_holds_for_an_app_that_makes_no_queues_by_itself(create):
    router = router_of(app_of(task_create_missing_queues=create), named=["letters"])
    assert destination(router, queue="letters") == "poolrace.r.threads.letters"


def test_a_broadcast_has_no_counterpart():
    app = app_of(task_queues=[Broadcast("all"), Queue("reports")])
    assert own_queues(app) == ("reports",)
    assert destination(router_of(app), queue="all") == LANE


def test_the_other_options_of_a_job_are_kept():
    routed = router_of().route({"queue": "reports", "priority": 3, "exchange_type": "topic"}, "post.letter")
    assert {key: value for key, value in routed.items() if key != "queue"} == {"priority": 3}


def test_an_app_that_is_led_already_is_led_by_its_own_routes_still():
    app = app_of()
    app.amqp.router = router_of(app)
    app.conf.task_default_queue = LANE
    again = LaneRouter(app, "poolrace.s.threads", ["reports"])
    assert (destination(again, "post.report"), destination(again)) == (
        "poolrace.s.threads.reports",
        "poolrace.s.threads",
    )
