"""Ends the stack in order: producer, workers, Flower, upstream, and last the broker, which holds the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.stack import daemons
from producer.stack.parts import END_ORDER, OTHERS_PATIENCE_S, PARTS, PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producer.stack.state import Ledger, StateFolder

SAY_EVERY_S = 5.0


def take_down(state: StateFolder, say: Callable[[str], None]) -> bool:
    """
    End all parts that an `up` on this folder has started.

    Returns:
        True if any of them ran.

    Raises:
        FleetError: If another command starts or ends them now.
    """
    if not state.read().daemons:
        return False
    with state.locked():
        ledger = state.read()
        ran = any(ledger.runs(part) for part in PARTS)
        end_parts(state, ledger, list(ledger.daemons), say)
        state.clear()
    return ran


def end_parts(state: StateFolder, ledger: Ledger, parts: Sequence[str], say: Callable[[str], None]) -> None:
    """End some parts in order, and strike them off the ledger as they go."""
    for group in END_ORDER:
        chosen = [part for part in group if part in parts]
        _end_group(ledger, [part for part in chosen if ledger.runs(part)], say)
        for part in chosen:
            ledger.daemons.pop(part, None)
        if chosen:
            state.write(ledger)


def _end_group(ledger: Ledger, parts: Sequence[str], say: Callable[[str], None]) -> None:
    if not parts:
        return
    patience_s = max(PATIENCE_S.get(part, OTHERS_PATIENCE_S) for part in parts)
    said_s = 0.0

    def waiting(gone_s: float) -> None:
        nonlocal said_s
        if gone_s - said_s >= SAY_EVERY_S:
            said_s = gone_s
            left = [part for part in parts if ledger.runs(part)]
            say(f"  {', '.join(left)}: still ending after {gone_s:.0f} s, of at most {patience_s:.0f} s")

    in_order = daemons.end([ledger.daemons[part] for part in parts], patience_s, waiting)
    for part in parts:
        say(f"  {part:<16} {'ended' if in_order else f'killed, {patience_s:.0f} s were not enough'}")
