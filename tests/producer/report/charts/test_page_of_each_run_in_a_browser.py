"""Whatever a run holds or lacks, its page opens without an error and says what is missing; names stay text."""

import dataclasses

import pytest
from pages import page_of
from renaming import renamed
from sample_run import make_run

from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.report.charts.gallery import pictures_of
from producer.rundir.reader import read_run

EVIL = "</script><script>window.broken = true</script><b>x</b>"
ONE_LANE = parse_lanes(["prefork:2", "threads:2"], concurrency=2, prefetch=4, acks="early")[1:]


@pytest.fixture(scope="module")
def window(browser):
    """A window onto files of this machine."""
    from pictures import browser as browsers

    with browsers.opened(browser, "file:///") as opened:
        yield opened


@pytest.fixture
def show(window, tmp_path):
    """Opens the page of a summary and a run, and returns the window; fails on an error or a request in it."""
    asked, errors = [], []
    window.on("request", lambda request: asked.append(request.url))
    window.on("pageerror", lambda error: errors.append(str(error)))
    window.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)

    def show(summary, run):
        path = tmp_path / "report.html"
        path.write_text(page_of(summary, run), encoding="utf-8")
        window.goto(path.as_uri())
        return window

    yield show
    assert [url for url in asked if not url.startswith("file:")] == []
    assert errors == []


def test_a_task_named_like_a_script_is_text_wherever_it_stands(show, sample):
    summary, run = sample
    trials = [dataclasses.replace(trial, workload=EVIL) for trial in run.trials]
    shown = show(renamed(summary, "sleep", EVIL), dataclasses.replace(run, trials=trials))
    assert shown.evaluate("window.broken") is None
    assert shown.locator("main b, header b").count() == 0
    assert shown.locator(".js-plotly-plot", has_text="<script>").count() > 0
    assert EVIL in shown.locator("#verdict ~ p").first.inner_text()


@pytest.mark.parametrize(
    ("given", "missing", "there"),
    [
        ({"lanes": ONE_LANE}, {"verdict"}, {"throughput", "spectrum", "cost"}),
        ({"pairs": 0}, {"verdict", "throughput", "spectrum", "cost"}, set()),
        ({"jobs": 1}, {"throughput"}, {"spectrum", "cost"}),
    ],
    ids=["one lane", "no job finished", "one job a trial"],
)
def test_what_a_run_lacks_is_told_and_the_rest_is_drawn(show, tmp_path, given, missing, there):
    path = make_run(tmp_path, **given)
    summary, run = summarise(read_run(path)), read_run(path)
    shown = show(summary, run)
    for picture in pictures_of(summary, run):
        section = shown.locator(f"section[aria-labelledby={picture.key}]")
        said, drawn = section.locator(".missing").all_inner_texts(), section.locator(".js-plotly-plot").count()
        assert (said, drawn) == (([picture.missing], 0) if picture.figure is None else ([], 1))
        assert picture.key not in (there if picture.figure is None else missing)


def test_a_run_without_samples_has_no_memory_and_all_else(show, tmp_path):
    path = make_run(tmp_path)
    for file in (path / "samples").iterdir():
        file.unlink()
    shown = show(summarise(read_run(path)), read_run(path))
    lacking = shown.locator("section:has(.missing)").evaluate_all(
        "all => all.map(each => each.getAttribute('aria-labelledby'))"
    )
    assert lacking == ["memory", "growth", "files", "nodes", "scaling", "distance"]


def test_problems_stand_first_then_what_to_run_then_the_pictures(show, tmp_path):
    path = make_run(tmp_path, status="incomplete", reason="The power went out.")
    shown = show(summarise(read_run(path)), read_run(path))
    titles = shown.locator("main h2").all_inner_texts()
    assert titles[:2] == ["This run is not valid", "What to run"]
    assert titles.index("What to run") < titles.index("Verdict: lane against lane") < titles.index("Verdict")


def test_the_table_below_a_chart_is_reached_and_opened_with_the_keyboard(show, sample):
    shown = show(*sample)
    table = shown.locator("section[aria-labelledby=cost] table")
    assert not table.is_visible()
    shown.locator("section[aria-labelledby=cost] summary").focus()
    shown.keyboard.press("Enter")
    assert table.is_visible()
    assert shown.get_by_role("columnheader", name="CPU seconds").is_visible()
    assert shown.get_by_role("rowheader", name="sleep").first.is_visible()


def test_on_paper_tables_are_open_and_words_are_dark_even_if_the_screen_is(show, sample):
    shown = show(*sample)
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.locator("section[aria-labelledby=cost] table").is_visible()
    assert shown.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 28, 28)"
    shown.emulate_media(media="screen", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(232, 232, 232)"
    words = "getComputedStyle(document.querySelector('#cost-chart .legendtext')).fill"
    assert shown.evaluate(words) == "rgb(232, 232, 232)"
    shown.emulate_media(media="null", color_scheme="null")
