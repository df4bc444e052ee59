"""What all tests share."""

import pytest
from hypothesis import settings

# A deadline would assert a time, and these machines are noisy.
settings.register_profile("poolrace", deadline=None)
settings.load_profile("poolrace")


def pytest_collection_modifyitems(items):
    """Mark what asks for a browser, so that each tier of the Makefile can name its tests."""
    for item in items:
        if {"browser", "chromium"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.page)
