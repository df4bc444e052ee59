"""The page of a run that was read, with a report of its own."""

from producer.analysis.summary import summarise
from producer.report.charts.page import page
from producer.report.document import document


def page_of(summary, run):
    """The page of a run, given its summary as plain data."""
    return page(document(summarise(run)), summary, run)
