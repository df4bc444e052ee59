"""What the producer's tests share."""

import signal
from functools import partial

import pytest
from sample_run import make_run

from producer import interrupts


@pytest.fixture
def interrupts_installed(monkeypatch):
    """Signals are handled as in the command; afterwards as before."""
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    monkeypatch.setattr(interrupts, "_held", 0)
    monkeypatch.setattr(interrupts, "_waiting", False)
    interrupts.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run_maker(tmp_path):
    """`make_run` below this test's own folder."""
    return partial(make_run, tmp_path)
