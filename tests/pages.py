"""The page of a run that was read, with a report of its own."""

from producer.report.charts.page import page
from producer.report.document import document


def page_of(summary, run):
    """The page of a run with this summary, and its report."""
    return page(document(summary), summary, run)
