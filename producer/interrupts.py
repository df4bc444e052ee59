"""
Ctrl-C, SIGTERM and SIGHUP: one interrupt, at a time that leaves nothing half done.

The first signal raises KeyboardInterrupt, or waits for the end of a `held` block. Later ones are ignored: by then
everything is being ended, which takes a few seconds at most.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command. A terminal that is closed, or a session that is dropped, sends the last."""

_held = 0
_waiting = False


def install() -> None:
    """Handle the signals from now on; to be called in the main thread of the command."""
    for number in SIGNALS:
        # nohup has a command outlive its terminal.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


@contextmanager
def held() -> Iterator[None]:
    """Keep interrupts out of a block, e.g. between starting a process and noting its id."""
    global _held, _waiting
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if not _held and _waiting:
            _waiting = False
            _raise()


def _on_signal(_number: int, _frame: object) -> None:
    global _waiting
    if _held:
        _waiting = True
    else:
        _raise()


def _raise() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
