"""Tasks that start other tasks in every way; the results are kept where nothing listens."""

from celery import Celery, chain, chord, group

app = Celery("workflows", broker="redis://127.0.0.1:6379/0", backend="redis://127.0.0.1:1/9")


@app.task
def add(left, right):
    """Add two numbers."""
    return left + right


@app.task
def total(numbers):
    """Add all numbers."""
    return sum(numbers)


@app.task
def start_chain(number):
    """Start three tasks, one after another."""
    chain(add.s(number, 1), add.s(2), add.s(3)).delay()


@app.task
def start_group(number):
    """Start three tasks at once."""
    group(add.s(number, part) for part in range(3)).delay()


@app.task
def start_chord(number):
    """Start two tasks, and one when both are done."""
    chord([add.s(number, 1), add.s(number, 2)])(total.s())


@app.task
def start_later(number):
    """Start a task a little later."""
    add.apply_async((number, 1), countdown=0.1)
