"""Pictures as files for documents, PNG or SVG, drawn by the browser of this machine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

    from producer.report.charts.picture import Picture

FORMATS = ("png", "svg")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""The first of these on the PATH draws."""

WIDTH, HEIGHT, SCALE = 960, 540, 2
"""The size of a picture without one of its own, in pixels; a PNG is `SCALE` times as large, to be sharp in print."""

PATIENCE_S = 120.0
PAPER = "white"
"""The page is see-through on a screen that may be dark; a document is white."""


def find_browser() -> str | None:
    """Find the browser on the PATH; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def export(pictures: Iterable[Picture], folder: Path, kind: str) -> list[Path]:
    """
    Write each picture that has a chart to a file named by its key.

    Args:
        pictures: Of a run.
        folder: Where; it is made if it is not there. Files of the same names are replaced.
        kind: One of `FORMATS`.

    Returns:
        The files.

    Raises:
        UsageError: If there is no browser, what drives it is not installed, or the folder cannot be written.
        FleetError: If the browser does not draw.
    """
    browser = find_browser()
    if browser is None:
        raise UsageError(
            "pictures as files are drawn by a browser, and there is none: none of "
            f"{', '.join(BROWSERS)} is on the PATH. Install one, on Debian with: apt-get install chromium. The page of "
            "--html needs none."
        )
    kaleido = _kaleido()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}). Name another folder.") from error
    orders = [_order(picture, folder, kind) for picture in pictures if picture.figure is not None]
    # Formulas would need a script from the network, and no picture has any.
    options = {"path": browser, "page_generator": kaleido.PageGenerator(mathjax=False), "timeout": PATIENCE_S}
    try:
        kaleido.write_fig_from_object_sync(orders, cancel_on_error=True, kopts=options)
    except Exception as error:  # any of the browser's or its driver's
        raise FleetError(f"The browser {browser} did not draw: {type(error).__name__}: {error}") from error
    return [order["path"] for order in orders]


def _kaleido() -> ModuleType:
    try:
        import kaleido
    except ImportError as error:
        raise UsageError(
            "pictures as files need the package kaleido. Install it: pip install 'poolrace-tool[pictures]'."
        ) from error
    return kaleido  # type: ignore[no-any-return] # it ships no types


def _order(picture: Picture, folder: Path, kind: str) -> dict[str, Any]:
    figure = picture.figure.to_dict()  # type: ignore[union-attr] # only those that have one are drawn
    layout = {**figure["layout"], "paper_bgcolor": PAPER, "plot_bgcolor": PAPER}
    size = {"width": layout.get("width") or WIDTH, "height": layout.get("height") or HEIGHT}
    return {
        "fig": {**figure, "layout": layout},
        "path": folder / f"{picture.key}.{kind}",
        "opts": {"format": kind, **size, **({"scale": SCALE} if kind == "png" else {})},
    }
