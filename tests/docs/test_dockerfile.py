"""The Dockerfile is what hadolint, the linter of Dockerfiles, has nothing to say about."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")

pytestmark = pytest.mark.skipif(not HADOLINT.exists(), reason="needs hadolint, which `make check` installs")


def lint(path: Path) -> str:
    """What hadolint finds, also where a comment tells it to look away."""
    words = [str(HADOLINT), "--no-color", "--no-fail", "--disable-ignore-pragma", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=path.parent).stdout


def test_hadolint_finds_nothing_in_the_dockerfile(tmp_path: Path) -> None:
    # Away from the project, where no configuration of it is found.
    assert lint(Path(shutil.copy(ROOT / "Dockerfile", tmp_path))) == ""


def test_hadolint_would_find_what_it_is_here_for(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN apt-get update && apt-get install -y curl\nCMD curl example\n")
    assert {"DL3007", "DL3009", "DL3015", "DL3025"} <= set(lint(bad).split())
