"""Pictures in the documents: each that is named is there, each that is there is named, and none is heavy."""

import re
import struct
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*"))
NAMED = {
    (page.parent / target).resolve()
    for page in [DOCS.parent / "README.md", *DOCS.glob("*.md")]
    for target in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text())
}


def test_every_picture_that_a_page_names_is_there_and_no_other_one() -> None:
    assert len(NAMED) > 8
    assert sorted(NAMED) == PICTURES


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_a_png_wide_enough_to_read_and_light_enough_to_load(picture: Path) -> None:
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width >= 1000
    assert height >= 300
    assert len(content) < 400_000
