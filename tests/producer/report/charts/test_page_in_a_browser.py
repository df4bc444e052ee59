"""The page in a real browser: no network, no error, marks in every chart, readable in light and dark and on a phone."""

import dataclasses

import polars as pl
import pytest
from pages import page_of
from PIL import Image
from sample_run import make_run

from producer.analysis.compare import compare_runs
from producer.analysis.summary import summarise
from producer.report.charts.page import page_of_both
from producer.report.formats import ratio
from producer.rundir.reader import read_run

MANY = 100_000
FACTOR = 4
PHONE = {"width": 390, "height": 844}


class Seen:
    """A page that is open, what it asked the network for, and what it complained of."""

    def __init__(self, browser, path, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length > 0")


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a summary and a run."""
    seen = []

    def opened(summary, run, **context):
        path = tmp_path / f"{len(seen)}.html"
        path.write_text(page_of(summary, run), encoding="utf-8")
        seen.append(Seen(browser, path, **context))
        return seen[-1]

    yield opened
    for each in seen:
        each.context.close()


def test_it_asks_the_network_for_nothing_and_has_no_error(opened, sample):
    seen = opened(*sample)
    assert [url for url in seen.requests if not url.startswith("file:")] == []
    assert len(seen.requests) == 1
    assert seen.errors == []


def test_every_chart_has_marks_and_every_table_its_numbers(opened, sample, drawn):
    seen = opened(*sample)
    for picture in drawn:
        chart = seen.page.locator(f"#{picture.key}-chart")
        assert chart.locator("svg.main-svg").first.bounding_box()["width"] > 300
        marks = chart.locator(
            ".scatterlayer path, .barlayer path, .boxlayer path, .gl-canvas, .heatmaplayer image"
        ).count()
        assert marks > 0, picture.key
        section = seen.page.locator(f"section[aria-labelledby={picture.key}]")
        section.locator("summary").press("Enter")
        assert section.locator("tbody tr").all_inner_texts() == ["\t".join(row) for row in picture.table.rows]


def test_two_runs_side_by_side_are_a_page_like_any_other(browser, tmp_path):
    paths = [make_run(tmp_path, "first"), make_run(tmp_path, "second", speeds={"prefork": 2.0})]
    summaries, runs = [summarise(read_run(path)) for path in paths], [read_run(path) for path in paths]
    found = compare_runs(*map(read_run, paths))
    written = tmp_path / "both.html"
    written.write_text(page_of_both(found, summaries, runs), encoding="utf-8")
    assert written.stat().st_size < 6_000_000
    seen = Seen(browser, written, viewport=PHONE)
    assert (len(seen.requests), seen.errors) == (1, [])
    assert seen.page.locator(".js-plotly-plot").count() == 7
    section = seen.page.locator("section[aria-labelledby=changes]")
    section.locator("summary").press("Enter")
    assert [row.split("\t")[3].split() for row in section.locator("tbody tr").all_inner_texts()] == [
        ratio(each.ratio, each.low, each.high).split() for each in found.changes
    ]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    seen.context.close()


def test_a_screen_reader_is_given_a_name_for_every_chart(opened, sample, drawn):
    seen = opened(*sample)
    for picture in drawn:
        assert seen.page.get_by_role("img", name=picture.title, exact=False).count() == 1
        assert seen.page.get_by_role("figure", name=picture.title).count() == 1


def brightness(seen, path):
    """Colours of the whole page: the commonest as grey from 0 to 255, and how many there are."""
    seen.page.screenshot(path=path, full_page=True)
    with Image.open(path) as shot:
        colours = shot.convert("L").getcolors()
        return max(colours)[1], len(shot.convert("RGB").getcolors(10_000_000))


def test_it_is_light_or_dark_as_the_reader_likes_and_not_blank(opened, sample, tmp_path):
    light, colours = brightness(opened(*sample, color_scheme="light"), tmp_path / "light.png")
    dark, dark_colours = brightness(opened(*sample, color_scheme="dark"), tmp_path / "dark.png")
    assert light > 240
    assert dark < 40
    assert min(colours, dark_colours) > 50


def test_on_a_phone_nothing_is_cut_off_at_the_side(opened, sample):
    seen = opened(*sample, viewport=PHONE, device_scale_factor=2)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("width", [PHONE["width"], 1280])
def test_the_answer_is_in_sight_at_once_in_larger_words_than_all_else(opened, sample, width):
    seen = opened(*sample, viewport={"width": width, "height": PHONE["height"]})
    table = seen.page.locator("table.answer")
    for words in ("sleep", "threads", "settled", "2.00 to 2.00 times as many as prefork"):
        box = table.get_by_text(words, exact=True).bounding_box()
        assert box["y"] + box["height"] < PHONE["height"] / 2
        assert box["x"] + box["width"] <= width
    assert seen.page.get_by_role("rowheader", name="sleep", exact=True).first.is_visible()
    assert seen.page.get_by_role("cell", name="settled", exact=True).is_visible()
    size = "each => parseFloat(getComputedStyle(each).fontSize)"
    assert table.get_by_text("threads", exact=True).evaluate(size) > seen.page.locator("p").first.evaluate(size)
    assert seen.page.locator("pre").first.bounding_box()["y"] < PHONE["height"]


PLACES = """() => Array.from(document.querySelectorAll('.js-plotly-plot'), (chart) => {
  const boxes = (parts) => Array.from(parts, (part) => part.getBoundingClientRect().toJSON());
  const [legend, titles, drawn] = ['.legend .bg', '.annotation', '.nsewdrag'].map(
    (name) => boxes(chart.querySelectorAll(name)));
  return { key: chart.id, whole: boxes([chart])[0], legend, titles, drawn };
})"""
"""Where the parts of each chart are."""


@pytest.mark.parametrize("width", [PHONE["width"], 1200])
def test_no_legend_lies_on_a_title_or_a_drawing_and_titles_are_whole(opened, sample, width):
    seen = opened(*sample, viewport={"width": width, "height": 900})
    charts = seen.page.evaluate(PLACES)
    assert sum(len(chart["legend"]) for chart in charts) > 5
    for chart in charts:
        top = min(each["top"] for each in chart["drawn"])
        titles = [each for each in chart["titles"] if each["bottom"] <= top]
        assert all(each["bottom"] <= min([top, *(title["top"] for title in titles)]) for each in chart["legend"]), chart
        inside = [
            chart["whole"]["left"] <= title["left"] and title["right"] <= chart["whole"]["right"] for title in titles
        ]
        assert all(inside), chart


def loaded_in_ms(seen):
    return seen.page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")


def crowded(sample):
    """The same run, but that its last trial of capacity had 100,000 jobs on one slot, a millisecond apart."""
    summary, run = sample
    last = [trial for trial in run.trials if trial.kind == "capacity"][-1]
    offsets = pl.int_range(MANY).cast(pl.Float64) / 1000
    jobs = pl.concat([run.records.filter(pl.col("trial") == last.trial).head(1)] * MANY).with_columns(
        seq=pl.int_range(MANY, dtype=pl.UInt32),
        received_at=last.began_at + offsets,
        started_at=last.began_at + offsets,
        finished_at=last.began_at + offsets + 0.0008,
    )
    others = run.records.filter(pl.col("trial") != last.trial)
    return summary, dataclasses.replace(run, records=pl.concat([others, jobs]))


def test_a_hundred_thousand_jobs_cost_little_more_than_twelve_and_can_be_panned(opened, sample):
    few = loaded_in_ms(opened(*sample))
    seen = opened(*crowded(sample))
    # Side by side on the same machine: a bar for each job took ten times as long and more.
    assert loaded_in_ms(seen) < FACTOR * few
    assert seen.page.locator("#lanes-chart .heatmaplayer image").count() == 1
    before, after = dragged(seen.page, "lanes", by_px=120)
    assert (after[0] < before[0], after[1] < before[1]) == (True, True)
    assert seen.errors == []
    # Jobs begin a millisecond apart and take 0.8 ms: 1,000 of them run between 50 and 51 s.
    assert in_sight(seen.page, None, None) == "0"
    assert inked(seen.page) == 0
    assert in_sight(seen.page, 50.0001, 50.9999) == "1000"
    assert inked(seen.page) > 1000
    assert in_sight(seen.page, 10, 16) == "0"
    assert inked(seen.page) == 0


def in_sight(page_, begin, end):
    """How many jobs are drawn one by one while the chart shows so many seconds; all, if none are named."""
    wanted = {"autorange": True} if begin is None else {"autorange": False, "range": [begin, end]}
    change = {f"{axis}.{name}": value for axis in ("xaxis", "xaxis2") for name, value in wanted.items()}
    page_.evaluate("change => Plotly.relayout('lanes-chart', change)", change)
    # A frame to draw in, and one more to be sure.
    page_.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
    return page_.locator("#lanes-chart canvas.bars").get_attribute("data-jobs")


def inked(page_):
    """Points of the layer of bars that are not see-through."""
    return page_.evaluate(
        """() => {
          const canvas = document.querySelector('#lanes-chart canvas.bars');
          const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          return data.filter((value, at) => at % 4 === 3 && value > 0).length;
        }"""
    )


def test_bars_of_a_close_up_follow_the_mouse_and_the_window(opened, sample):
    seen = opened(*crowded(sample))
    assert in_sight(seen.page, 50.0001, 50.9999) == "1000"
    begin, end = dragged(seen.page, "lanes", by_px=100)[1]
    seen.page.wait_for_function(
        "jobs => Math.abs(document.querySelector('#lanes-chart canvas.bars').dataset.jobs - jobs) <= 1",
        arg=round((end - begin) * 1000),
    )
    wide = seen.page.locator("#lanes-chart canvas.bars").bounding_box()["width"]
    seen.page.set_viewport_size({"width": 500, "height": 900})
    seen.page.wait_for_function(
        "wide => document.querySelector('#lanes-chart canvas.bars').getBoundingClientRect().width < wide", arg=wide
    )
    assert inked(seen.page) > 1000


def test_a_page_whose_jobs_are_all_drawn_by_plotly_has_no_script_for_bars(sample):
    assert "Draws the jobs of a lane one by one" not in page_of(*sample)
    assert "Draws the jobs of a lane one by one" in page_of(*crowded(sample))


def dragged(page_, key, by_px):
    """Drag a chart to the right with the mouse: what its time axis showed before, and then."""
    shown = f"document.getElementById('{key}-chart')._fullLayout.xaxis.range"
    before = page_.evaluate(shown)
    area = page_.locator(f"#{key}-chart .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    at = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
    page_.mouse.move(*at)
    page_.mouse.down()
    page_.mouse.move(at[0] + by_px, at[1], steps=3)
    page_.mouse.up()
    page_.wait_for_function(f"() => {shown}[0] !== {before[0]}")
    return before, page_.evaluate(shown)
