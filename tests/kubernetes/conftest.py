"""Ends with nothing of what the tests have rendered: passwords were in it."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def forgotten() -> Iterator[None]:
    yield
    if manifests := sys.modules.get("kubernetes.manifests"):
        manifests.forget()
