"""Fixtures that start several things at once start those of the tier that runs, and no others."""

from pathlib import Path
from typing import Any

import pytest


def heavy(value: Any) -> Any:
    """Return a value of a parameter that belongs to the heavy tier."""
    return pytest.param(value, marks=pytest.mark.heavy, id=str(value))


def heavy_too(request: pytest.FixtureRequest) -> bool:
    """Check whether heavy tests of the module that asks are to run."""
    here = Path(request.path)
    return any(item.path == here and item.get_closest_marker("heavy") for item in request.session.items)
