"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

HEAVY_IN = tuple(Path(__file__).parent / name for name in ("integration", "benchmarks"))
"""Where make test-integration looks for heavy tests, so that no other module is imported for it."""
PAGE_IN = tuple(Path(__file__).parent / name for name in ("producer/report", "compose"))
"""Where make test-page, and the tests of the compose stack, look for tests that need a browser."""
LONGEST_FIRST = (
    "test_measuring.py",
    "test_soak.py",
    "test_features.py",
    "test_transport_compatibility.py",
    "test_limit_and_sweep.py",
    "test_own_app.py",
    "test_transport_faults.py",
    "test_race.py",
    "test_lessons.py",
)
"""Files whose heavy tests take one to four minutes: one that begins last is waited for by all other processes."""

# A deadline would assert a time, and these machines are noisy.
settings.register_profile("poolrace", deadline=None)
settings.load_profile("poolrace")


@pytest.fixture
def short_simulations(monkeypatch):
    """Simulate fleets with a quarter of the jobs: for tests of what is said of them."""
    from producer.analysis import fleet_plan

    monkeypatch.setattr(fleet_plan, "LEAST_JOBS", fleet_plan.LEAST_JOBS // 4)


def pytest_collection_modifyitems(items):
    """Mark what asks for a browser, so that each tier of the Makefile can name its tests; put long files first."""
    for item in items:
        if {"browser", "chromium"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.page)
            if not any(item.path.is_relative_to(folder) for folder in PAGE_IN):
                raise pytest.UsageError(f"{item.nodeid} needs a browser: move it to where its tier finds it.")
        if item.get_closest_marker("heavy") and not any(item.path.is_relative_to(folder) for folder in HEAVY_IN):
            raise pytest.UsageError(f"{item.nodeid} is heavy: move it to tests/integration, where its tier finds it.")
    items.sort(key=_place)


def _place(item):
    if item.path.name in LONGEST_FIRST and item.get_closest_marker("heavy"):
        return LONGEST_FIRST.index(item.path.name)
    return len(LONGEST_FIRST)
