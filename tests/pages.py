"""The page of a run that was read."""

from producer.report.charts.page import page


def page_of(summary, run):
    """The page of a run with this summary."""
    return page(summary, run)
