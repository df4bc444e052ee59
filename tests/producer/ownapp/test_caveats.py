"""What there is to know of an app is said before it runs, for the pools that it will run on."""

from producer.ownapp.caveats import caveats, redirect_notes

FACTS = {
    "inert": {
        "prefork": [],
        "threads": ["task_time_limit = 30 is ignored silently: a job that hangs keeps its slot for ever."],
        "solo": ["worker_lost_wait = 1.0 is ignored silently."],
    },
    "hazards": {
        "prefork": ["torch: load models in the child"],
        "threads": ["pdb: stops the node, not a job", "cv2: runs threads of its own"],
        "solo": [],
    },
    "globals": ["shop.count writes the global shop.SEEN"],
    "broker_scheme": "amqp",
    "queues": [],
    "default_queue": "celery",
}
OF_THREADS = [
    "On threads, the app's setting task_time_limit = 30 is ignored silently: a job that hangs keeps its slot for ever.",
    "On threads, the app imports pdb: stops the node, not a job.",
    "On threads, the app imports cv2: runs threads of its own.",
]
OF_PREFORK = ["On prefork, the app imports torch: load models in the child."]
OF_ANY = ["shop.count writes the global shop.SEEN."]


def test_each_pool_has_its_own_warnings():
    assert caveats(FACTS, ["threads"]) == OF_THREADS + OF_ANY
    assert caveats(FACTS, ["prefork"]) == OF_PREFORK + OF_ANY


def test_warnings_come_in_the_order_of_the_lanes_and_what_the_tasks_write_last():
    assert caveats(FACTS, ["prefork", "threads"]) == OF_PREFORK + OF_THREADS + OF_ANY
    assert caveats(FACTS, ["threads", "prefork"]) == OF_THREADS + OF_PREFORK + OF_ANY


def test_two_lanes_of_a_pool_are_warned_of_once():
    assert caveats(FACTS, ["threads", "threads"]) == OF_THREADS + OF_ANY


def test_a_pool_of_which_nothing_is_known_is_warned_of_nothing():
    assert caveats({**FACTS, "globals": []}, ["gevent"]) == []


def test_what_tasks_write_is_said_whatever_the_pool():
    assert caveats(FACTS, []) == OF_ANY


def test_a_run_says_where_broker_and_results_go():
    assert redirect_notes({"facts": FACTS, "backend": "none, as in the app's settings"}) == [
        "The broker of its settings (amqp) is left alone; it runs on the run's own.",
        "Results: none, as in the app's settings.",
    ]


def test_queues_of_its_own_are_said_to_have_counterparts():
    facts = {**FACTS, "queues": ["images", "letters"]}
    assert redirect_notes({"facts": facts, "backend": "x"})[2:] == [
        "Each of its queues (celery, images, letters) has a counterpart on each lane; no job leaves the lane."
    ]
