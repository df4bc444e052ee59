"""Simple tasks for RabbitMQ, on plain queues."""

from celery import Celery
from kombu import Queue

app = Celery("burrow", broker="amqp://guest:guest@127.0.0.1:5672//")
app.conf.update(
    task_queues=[Queue("burrow"), Queue("meadow")],
    task_default_queue="burrow",
    task_default_queue_type="classic",
)


@app.task
def dig(depth):
    """Dig a hole."""
    return sum(range(depth))


@app.task
def graze(minutes):
    """Eat."""
    return {"minutes": minutes, "eaten": minutes * 3}
