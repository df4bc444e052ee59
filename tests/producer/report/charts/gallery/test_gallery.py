"""A picture is one file: what hangs in the gallery's folder is on the page, and in the document of the page."""

import re
import sys
from pathlib import Path

import pytest
from pages import page_of

from producer.report.charts import gallery
from producer.report.charts.gallery import pictures, pictures_of

DOCS = Path(__file__).parents[5] / "docs"
KEYS = [
    "verdict",
    "throughput",
    "spectrum",
    "timeline",
    "lanes",
    "memory",
    "growth",
    "files",
    "nodes",
    "scaling",
    "distance",
    "ping",
    "cost",
]


@pytest.fixture
def hang(tmp_path, monkeypatch):
    """Hangs a file beside those of the gallery until the test ends."""
    monkeypatch.setattr(gallery, "__path__", [*gallery.__path__, str(tmp_path)])
    hung = []

    def hang(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        hung.append(f"{gallery.__name__}.{name}")

    yield hang
    for name in hung:
        sys.modules.pop(name, None)


def example():
    """The file in the design page."""
    section = (DOCS / "design.md").read_text(encoding="utf-8").split("### Adding a chart\n")[1]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def simple(key, order=5, title="A title", **more):
    """A file with a picture that every run lacks something for."""
    extra = "".join(f", {name}={value!r}" for name, value in more.items())
    return (
        "from producer.report.charts.picture import picture\n"
        f"@picture(key={key!r}, title={title!r}, missing='Nothing is there.', order={order}{extra})\n"
        f"def {key}(summary, run):\n    return None\n"
    )


def test_the_file_in_the_design_page_is_on_the_page_once_it_hangs_in_the_folder(hang, sample):
    assert 'id="deliveries"' not in page_of(*sample)
    hang("deliveries", example())
    whole = page_of(*sample)
    assert '<h2 id="deliveries">Deliveries of a job</h2>' in whole
    assert 'id="deliveries-chart"' in whole
    assert "A job of prefork was delivered 1.00 times on average, the most." in whole
    assert "<caption>Deliveries</caption>" in whole
    assert [each.key for each in pictures()] == [*KEYS, "deliveries"]


def test_pictures_are_in_the_order_of_their_numbers_whatever_their_files_are_called(hang):
    assert [each.key for each in pictures()] == KEYS
    hang("zebra", simple("zebra", order=5))
    hang("aardvark", simple("aardvark", order=45))
    assert [each.key for each in pictures()][:6] == [
        "zebra", "verdict", "throughput", "spectrum", "timeline", "aardvark",
    ]  # fmt: skip


def test_a_file_is_called_by_the_key_of_its_picture():
    assert [each.draw.__module__.rpartition(".")[2] for each in pictures()] == KEYS


def test_two_pictures_cannot_have_one_key(hang):
    hang("other", simple("verdict"))
    with pytest.raises(ValueError, match="two pictures have the key 'verdict'"):
        pictures()


def test_what_a_picture_needs_of_a_run_is_asked_before_it_is_drawn(hang, sample):
    hang("deliveries", example().replace("order=110", "order=1, needs=('sweep',)"))
    first, *_ = pictures_of(*sample)
    assert (first.key, first.figure) == ("deliveries", None)
    assert first.missing == "No job was delivered, so there is nothing to count: poolrace race --quick."


def test_all_that_a_picture_says_is_text_on_the_page(hang, sample):
    evil = "<i>x</i>&"
    hang(
        "deliveries",
        example().replace('"Deliveries of a job"', repr(evil)).replace('title="Deliveries"', f"title={evil!r}"),
    )
    hang("lost", simple("lost", title=evil))
    whole = page_of(*sample)
    assert evil not in whole
    assert whole.count("&lt;i&gt;x&lt;/i&gt;&amp;") >= 6  # two headings, two links, a label and a caption


def test_the_document_of_the_page_has_each_picture_in_its_order():
    text = (DOCS / "report-page.md").read_text(encoding="utf-8")
    table = text.split("| picture | shows |\n|---|---|\n")[1].split("\n\n")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE) == [each.key for each in pictures()]
