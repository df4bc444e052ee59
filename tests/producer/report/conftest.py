"""A browser to look at pages."""

import os

import pytest


@pytest.fixture(scope="module")  # its event loop must not run under the tests of other modules
def browser():
    """The browser of this machine; where there is none its tests are passed over, unless they are required."""
    required = os.environ.get("POOLRACE_BROWSER") == "required"
    if not required:
        pytest.importorskip("playwright", reason="playwright is not installed; make test-page installs it")
    from pictures import browser as browsers

    try:
        browsers.find()
    except browsers.BrowserMissingError as error:
        if required:
            raise
        pytest.skip(str(error))
    with browsers.started() as started:
        yield started
