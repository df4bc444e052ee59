"""Clocks of machines that are wrong, which a publisher's process can import; and one that only a test moves."""

import time


def two_seconds_ahead():
    """The time of a machine whose clock is two seconds ahead."""
    return time.time() + 2.0


class Clock:
    """Stands still until told."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s
