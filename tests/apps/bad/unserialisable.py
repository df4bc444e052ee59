"""Factories of jobs that nobody can send."""


def make_job(number, random):
    """Make a job whose argument no format knows."""
    return {"task": "always_fails.fail", "args": [object()], "kwargs": {}}


def make_object(number, random):
    """Make what is no job at all."""
    return object()
