"""Which extension modules turn the GIL on, found by importing each alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from poolrace import gil
from poolrace.gil import ImportFailedError, examine

if TYPE_CHECKING:
    from pathlib import Path


def test_extension_modules_behind_an_import_are_found() -> None:
    found = examine(["psutil"])
    assert any(name.startswith("psutil.") for name in found.extensions)
    assert found.culprits == ()


def test_modules_of_the_standard_library_are_left_out() -> None:
    assert examine(["json", "ssl", "sqlite3"]).extensions == ()


def test_an_app_is_loaded_with_its_tasks(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from celery import Celery\nprint('noise')\napp = Celery('own', broker='memory://', include=['jobs'])\n"
    )
    (tmp_path / "jobs.py").write_text("import psutil\n")
    assert any(name.startswith("psutil.") for name in examine([], "own:app", str(tmp_path)).extensions)


@pytest.mark.parametrize(("imports", "app"), [(["no_such_module"], ""), ([], "no_such_app:app")])
def test_what_cannot_be_imported_is_named_with_the_reason(imports: list[str], app: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match=r"no_such_(module|app).* cannot be imported") as error:
        examine(imports, app, str(tmp_path))
    assert "No module named" in str(error.value)


def test_a_warning_of_the_interpreter_names_the_culprit() -> None:
    # As CPython 3.14.7t prints it on importing hiredis 3.3.0.
    line = (
        "<frozen importlib._bootstrap>:491: RuntimeWarning: The global interpreter lock (GIL) has been enabled to load "
        "module 'hiredis.hiredis', which has not declared that it can run safely without the GIL."
    )
    assert gil.NAMED.findall(line) == ["hiredis.hiredis"]


def test_each_extension_is_loaded_alone_and_the_one_that_is_warned_of_is_the_culprit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = json.dumps({"good": "/elsewhere/good.so", "bad": "/elsewhere/bad.so"})
    loaded = []

    def answer(*words: str, folder: str, gil: str = "") -> subprocess.CompletedProcess[str]:
        if gil:
            return subprocess.CompletedProcess(words, 0, listed, "")
        loaded.append(words[-2])
        warning = "has been enabled to load module 'bad', which" if words[-2] == "bad" else ""
        return subprocess.CompletedProcess(words, 0, "", warning)

    monkeypatch.setattr(gil, "is_free_threaded", lambda: True)
    monkeypatch.setattr(gil, "_python", answer)
    found = examine(["anything"], folder=str(tmp_path))
    assert found.extensions == ("bad", "good")
    assert found.culprits == ("bad",)
    assert sorted(loaded) == ["bad", "good"]


def test_a_question_is_answered_as_json() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from poolrace.gil import main; main()"],
        input=json.dumps({"app": "", "folder": os.curdir}), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert found["version"] == "{}.{}.{}".format(*sys.version_info)
    assert found["extensions"]
