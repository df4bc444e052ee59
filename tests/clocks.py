"""Clocks of machines that are wrong; a publisher's process can import them."""

import time


def two_seconds_ahead():
    """The time of a machine whose clock is two seconds ahead."""
    return time.time() + 2.0
