"""The kinds of run, by name. A new kind has a module of its own and a line here."""

from __future__ import annotations

from producer.report.limit import LIMIT
from producer.report.load import LOAD
from producer.report.race import RACE
from producer.report.soak import SOAK
from producer.report.sweep import SWEEP

KINDS = {kind.name: kind for kind in (RACE, LOAD, LIMIT, SWEEP, SOAK)}
