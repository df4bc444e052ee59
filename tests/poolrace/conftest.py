"""A clock for tests of what happens after a while."""

import pytest


class Clock:
    """A monotonic clock that only a test moves."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()
