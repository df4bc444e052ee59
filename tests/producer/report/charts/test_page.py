"""The page is one file, whole in itself; what comes from a run is text in it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from pages import page_of
from sample_run import make_run

from producer.analysis.summary import summarise
from producer.report.charts.gallery import pictures_of
from producer.rundir.reader import read_run

MOST_BYTES = 6_000_000
VOID = {"meta", "br", "link", "img"}


class Outline(HTMLParser):
    """Tags, tables and links of a page; checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.tables, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"td", "th"}:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def whole(sample):
    return page_of(*sample)


def test_it_is_one_small_file_that_leads_nowhere(whole):
    assert len(whole.encode()) < MOST_BYTES
    outline = Outline(whole)
    assert outline.open == []
    assert all(link.startswith("#") for link in outline.links)
    assert {link[1:] for link in outline.links} <= set(outline.ids)
    assert [dict_ for tag, dict_ in outline.tags if tag in {"script", "img", "link"} and "src" in dict_] == []


def test_every_picture_is_in_it_with_its_sentences_and_its_table(whole, drawn):
    tables = Outline(whole).tables
    for picture in drawn:
        assert f'id="{picture.key}-chart"' in whole
        assert [list(picture.table.columns), *map(list, picture.table.rows)] in tables


def test_figures_have_names_for_those_who_do_not_see_them(whole):
    images = [attributes for tag, attributes in Outline(whole).tags if attributes.get("role") == "img"]
    assert len(images) == whole.count("<figure ")
    assert all(attributes["aria-label"] for attributes in images)
    headings = [attributes.get("scope") for tag, attributes in Outline(whole).tags if tag == "th"]
    assert set(headings) == {"col", "row"}


def test_what_comes_from_a_run_is_text(tmp_path):
    evil = "</script><script>alert(1)</script>"
    path = make_run(tmp_path)
    summary = summarise(read_run(path))
    text = page_of(replace(summary, warnings=(*summary.warnings, evil)), read_run(path))
    assert evil not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_a_run_of_nothing_is_a_page_that_says_so(tmp_path):
    path = make_run(tmp_path, pairs=0)
    text = page_of(summarise(read_run(path)), read_run(path))
    assert len(re.findall('class="missing"', text)) == len(pictures_of(summarise(read_run(path)), read_run(path))) + 1


def test_it_begins_with_what_to_run_the_lines_to_copy_and_what_is_given_up_then_pictures_then_figures(whole):
    marks = (
        '<table class="answer"', ">threads</td>", "<pre>celery -A YOUR_APP worker -P threads", "What you give up with",
        'id="run"', 'id="verdict"', 'id="tables"', "<caption>Capacity",
    )  # fmt: skip
    at = [whole.index(mark) for mark in marks]
    assert at == sorted(at)
    assert Outline(whole).tables[0] == [
        ["workload", "run", "slots", "sure", "why"],
        ["sleep", "threads", "2", "settled", "2.00 to 2.00 times as many as prefork"],
    ]
    assert whole.count('class="answer"') == 1


def test_problems_stand_before_the_answer_and_warnings_after_it(tmp_path):
    path = make_run(tmp_path, status="incomplete", reason="The power went out.")
    summary = replace(summarise(read_run(path)), warnings=("It was loud.",))
    text = page_of(summary, read_run(path))
    at = [text.index(mark) for mark in ("The power went out.", "What to run", "It was loud.", 'id="verdict"')]
    assert at == sorted(at)
