"""Fixtures that start several things at once start those of the tier that runs, and no others."""

from pathlib import Path
from typing import Any

import pytest


def heavy(value: Any) -> Any:
    """Return a value of a parameter that belongs to the heavy tier."""
    return pytest.param(value, marks=pytest.mark.heavy, id=str(value))


def heavy_too(request: pytest.FixtureRequest) -> bool:
    """Check whether heavy tests of the module that asks are to run."""
    return True in _tiers(request)


def light_too(request: pytest.FixtureRequest) -> bool:
    """Check whether tests of the module that asks are to run that are not heavy."""
    return False in _tiers(request)


def _tiers(request: pytest.FixtureRequest) -> set[bool]:
    here = Path(request.path)
    return {item.get_closest_marker("heavy") is not None for item in request.session.items if item.path == here}
