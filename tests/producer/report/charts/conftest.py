"""A small run, of which every figure can be worked out by hand."""

import pytest
from sample_run import make_run

from producer.analysis.summary import summarise
from producer.report.charts.gallery import pictures_of
from producer.rundir.reader import read_run


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """
    Summary and run: two lanes of two slots, jobs of 100 ms, threads twice as fast, three pairs of twelve jobs.

    Prefork does 20 jobs a second and threads 40; each job uses 1 ms of CPU.
    """
    path = make_run(tmp_path_factory.mktemp("sample"), speeds={"threads": 2.0})
    return summarise(read_run(path)), read_run(path)


@pytest.fixture(scope="session")
def drawn(sample):
    """The pictures of that run that have a chart: all but of nodes, as each lane has one, and of other kinds."""
    pictures = pictures_of(*sample)
    without = ["growth", "files", "nodes", "scaling", "distance"]
    assert [picture.key for picture in pictures if picture.figure is None] == without
    return [picture for picture in pictures if picture.figure is not None]
