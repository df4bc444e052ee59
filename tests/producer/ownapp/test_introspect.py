"""What a user's app and its folder may hold: it is asked in a process of its own, and never on its own broker."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

import pytest

from producer.errors import UsageError
from producer.ownapp.introspect import ask

if TYPE_CHECKING:
    from pathlib import Path

    from producer.plan.own_app import OwnApp

APP = """
    from celery import Celery

    app = Celery("proj", broker="redis://theirs.invalid/0")

    @app.task(name="proj.fetch")
    def fetch():
        pass
"""


def asked(folder: Path, source: str, **variables: str) -> OwnApp:
    """Write an app to a folder, and ask it for jobs of its task."""
    (folder / "proj.py").write_text(textwrap.dedent(source))
    return ask(
        "proj:app",
        folder=folder,
        jobs=None,
        tasks=["proj.fetch"],
        python="",
        environment={**os.environ, **variables},
        seed=1,
        timeout_s=60,
        keep_backend=False,
        patience_s=60,
    )


@pytest.mark.parametrize("name", ["email", "queue", "calendar", "random", "types", "inspect", "difflib", "json"])
def test_a_module_beside_the_app_may_be_called_as_one_of_the_standard_library(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise ImportError('not the one of the standard library')\n")
    assert asked(tmp_path, APP).tasks == ("fetch",)


@pytest.mark.parametrize(
    "written",
    [
        "os.write(2, b'caf\\xe9\\n')",
        "os.write(1, b'caf\\xe9\\n')",
        "print('\\N{SNOWMAN}', file=sys.stderr, flush=True)",
    ],
)
def test_an_app_may_print_any_byte_while_it_is_imported(tmp_path: Path, written: str) -> None:
    source = textwrap.dedent(APP) + f"import os, sys\n{written}\n"
    assert asked(tmp_path, source, PYTHONIOENCODING="latin-1:replace").tasks == ("fetch",)


def test_bytes_that_are_not_text_do_not_hide_why_an_app_cannot_be_imported(tmp_path: Path) -> None:
    source = "import os\nos.write(2, b'caf\\xe9\\n')\nos.abort()\n"
    with pytest.raises(UsageError, match="--app proj:app: ended with code -6 when it was imported"):
        asked(tmp_path, source)


@pytest.mark.parametrize(
    "use",
    [
        "import redis; redis.Redis.from_url(BROKER)",
        "import redis; redis.Redis.from_url(app.conf.broker_url)",
        "from urllib.parse import urlsplit; assert urlsplit(BROKER).port",
        "import pydantic; pydantic.TypeAdapter(pydantic.RedisDsn).validate_python(BROKER)",
    ],
)
def test_an_app_may_take_its_brokers_address_apart_while_it_is_imported(tmp_path: Path, use: str) -> None:
    source = f"""
        import os
        from celery import Celery

        BROKER = os.environ.get("CELERY_BROKER_URL", "redis://theirs.invalid:6399/0")
        app = Celery("proj", broker=BROKER)
        {use}

        @app.task(name="proj.fetch")
        def fetch():
            pass
    """
    assert asked(tmp_path, source, CELERY_BROKER_URL="redis://theirs.invalid/0").tasks == ("fetch",)
