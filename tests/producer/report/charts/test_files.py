"""Pictures become files, one each, drawn by a real browser; what is lacking for that is told."""

import os

import plotly.graph_objects as go
import pytest
from PIL import Image

from producer.errors import UsageError
from producer.report.charts import files as exporting
from producer.report.charts.files import HEIGHT, SCALE, WIDTH, export, find_browser
from producer.report.charts.picture import Picture

here = find_browser() or os.environ.get("POOLRACE_BROWSER") == "required"
with_browser = pytest.mark.skipif(not here, reason="no Chromium on the PATH")


def picture(key, figure="a bar", **layout):
    drawn = go.Figure(go.Bar(x=["prefork", "threads"], y=[3, 1]), layout=layout) if figure else None
    return Picture(key=key, title=key.title(), figure=drawn, missing="" if figure else "Nothing was measured.")


@pytest.mark.page
@with_browser
def test_each_picture_with_a_chart_is_a_file_with_marks_on_white(tmp_path):
    files = export(
        [picture("verdict"), picture("nodes", figure=None), picture("lanes", height=300)], tmp_path / "new", "png"
    )
    assert [file.name for file in files] == ["verdict.png", "lanes.png"]
    assert sorted(tmp_path.joinpath("new").iterdir()) == sorted(files)
    with Image.open(files[0]) as drawn, Image.open(files[1]) as lower:
        assert (drawn.size, lower.size) == ((WIDTH * SCALE, HEIGHT * SCALE), (WIDTH * SCALE, 300 * SCALE))
        assert drawn.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert len(drawn.convert("RGB").getcolors(1_000_000)) > 10


@pytest.mark.page
@with_browser
def test_an_svg_holds_its_words_as_text(tmp_path):
    (file,) = export([picture("verdict")], tmp_path, "svg")
    assert "prefork" in file.read_text()
    assert file.read_text().startswith("<svg")


def test_a_machine_without_a_browser_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_browser() is None
    with pytest.raises(UsageError, match="apt-get install chromium"):
        export([picture("verdict")], tmp_path / "new", "png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_told(monkeypatch, tmp_path, place):
    monkeypatch.setattr(exporting, "find_browser", lambda: "chromium")
    (tmp_path / "file").write_text("here already")
    with pytest.raises(UsageError, match="cannot be written"):
        export([picture("verdict")], tmp_path / place, "png")
    assert (tmp_path / "file").read_text() == "here already"
