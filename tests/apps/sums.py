"""Sums over the parts of groups and chords, by an app that sends in steps, on its nodes too."""

import os

from celery import Celery, chain, chord, group

from poolrace import publishing

app = Celery("sums", broker=os.environ["SUMS_URL"], backend=os.environ["SUMS_URL"])
app.conf.result_expires = 60


@app.task
def add(*numbers):
    """Add numbers."""
    return sum(numbers)


@app.task
def total(numbers):
    """Add the results of all parts."""
    return sum(numbers)


@app.task
def spread(count):
    """Start a chord in a job, and return the id of its result."""
    return chord([add.s(number, 1) for number in range(count)])(total.s()).id


@app.task
def hand_on(count):
    """Start a group and a chain in a job, and return the ids of their results."""
    parts = group(add.s(number) for number in range(count)).apply_async()
    return [*(part.id for part in parts), chain(add.s(1), add.s(2), add.s(3)).apply_async().id]


publishing.install(app)
