"""The kinds of run, by name. A new kind has a module of its own and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.limit import LIMIT
from producer.analysis.load import LOAD
from producer.analysis.race import RACE
from producer.analysis.soak import SOAK
from producer.analysis.sweep import SWEEP
from producer.errors import UsageError

if TYPE_CHECKING:
    from producer.analysis.kind import RunKind
    from producer.rundir.run import Run

KINDS = {kind.name: kind for kind in (RACE, LOAD, LIMIT, SWEEP, SOAK)}


def kind_of(run: Run) -> RunKind:
    """
    Return the kind of a run.

    Raises:
        UsageError: If this version does not know it.
    """
    name = run.manifest.settings.kind
    if name not in KINDS:
        raise UsageError(
            f"{run.path}: a run of kind {name!r} is unknown here. Use the poolrace that it is from; this one knows "
            f"{', '.join(KINDS)}."
        )
    return KINDS[name]
