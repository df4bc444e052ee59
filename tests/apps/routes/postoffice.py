"""Tasks on two queues, each bound to an exchange of its own, under a prefix of the broker's keys."""

from celery import Celery
from kombu import Exchange, Queue

app = Celery("postoffice", broker="redis://127.0.0.1:6379/0")
app.conf.update(
    task_queues=[
        Queue("mail", Exchange("post", type="topic"), routing_key="mail.#"),
        Queue("reports", Exchange("office", type="direct"), routing_key="report"),
    ],
    task_default_queue="mail",
    task_default_exchange="post",
    task_default_exchange_type="topic",
    task_default_routing_key="mail.default",
    task_default_priority=5,
    task_routes={
        "postoffice.report": {"queue": "reports"},
        "postoffice.letter": {"exchange": "post", "exchange_type": "topic", "routing_key": "mail.letters"},
    },
    broker_transport_options={"global_keyprefix": "mine:"},
)


@app.task
def stamp(value):
    """Print a stamp; goes where nothing is said."""
    return f"[{value}]"


@app.task
def letter(address):
    """Write a letter; a route says its exchange and routing key."""
    return f"Dear {address}"


@app.task
def report(day):
    """Write a report; a route says its queue."""
    return f"Report of day {day}"


@app.task(queue="reports")
def audit(day):
    """Check a report; the task itself says its queue."""
    return day % 7


@app.task
def close_day(day):
    """End a day: two tasks on the other queue, one by a name in the call."""
    stamp.apply_async((day,), queue="reports")
    audit.delay(day)
