"""What runs inside a node is a distribution of its own: small, with kombu and redis as all that it needs."""

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from poolrace import __version__
from poolrace.transport import kombu_bases

ROOT = Path(__file__).parents[2]
LIGHT, TOOL = "poolrace", "poolrace_tool"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Both distributions, built from these sources, by name."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
               "--wheel-dir", str(folder), str(ROOT / "poolrace"), str(ROOT)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    return {path.name.partition("-")[0]: path for path in folder.iterdir()}


def names_in(wheel):
    with zipfile.ZipFile(wheel) as found:
        return {name for name in found.namelist() if ".dist-info/" not in name}


def about(wheel):
    with zipfile.ZipFile(wheel) as found:
        (metadata,) = [name for name in found.namelist() if name.endswith("METADATA")]
        return email.message_from_bytes(found.read(metadata))


def test_the_light_one_needs_kombu_and_redis_and_nothing_else(wheels):
    needed = [each for each in about(wheels[LIGHT]).get_all("Requires-Dist") if "extra ==" not in each]
    assert {re.match(r"[\w-]+", each)[0] for each in needed} == {"kombu", "redis"}


def test_it_is_under_a_megabyte_and_typed(wheels):
    assert wheels[LIGHT].stat().st_size < 1_000_000
    assert "poolrace/py.typed" in names_in(wheels[LIGHT])


def test_each_module_is_in_one_of_them_and_none_is_missing(wheels):
    assert not names_in(wheels[LIGHT]) & names_in(wheels[TOOL])
    packages = {LIGHT: ["poolrace"], TOOL: ["producer", "worker"]}
    for name, folders in packages.items():
        there = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")}
        assert {each for each in names_in(wheels[name]) if each.endswith(".py")} == there


def test_they_are_of_one_version_and_the_tool_needs_the_other_exactly(wheels):
    assert {about(wheel)["Version"] for wheel in wheels.values()} == {__version__}
    assert f"poolrace[node]=={__version__}" in about(wheels[TOOL]).get_all("Requires-Dist")
    assert f"poolrace-tool=={__version__}; extra == 'tool'" in about(wheels[LIGHT]).get_all("Requires-Dist")


def test_its_bounds_on_kombu_are_those_that_it_says_when_they_are_broken():
    needed = tomllib.loads((ROOT / "poolrace" / "pyproject.toml").read_text())["project"]["dependencies"]
    (low, below) = re.search(r"kombu>=(\d+\.\d+),<(\d+\.\d+)", " ".join(needed)).groups()
    major, minor = map(int, below.split("."))
    assert f"kombu {low} to {major}.{minor - 1}" == kombu_bases.KOMBU_NEEDED


def test_it_is_imported_and_installed_without_celery(wheels, tmp_path):
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['celery', 'psutil', 'producer', 'worker']));"
        "import poolrace.transport.installed, poolrace.transport.__main__, kombu.transport;"
        "print(poolrace.transport.__file__, kombu.transport.TRANSPORT_ALIASES['redis'])"
    )
    with zipfile.ZipFile(wheels[LIGHT]) as found:
        found.extractall(tmp_path)
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path) in done.stdout
    assert "poolrace.transport" in done.stdout.split()[1]


def test_its_page_and_its_changelog_are_its_own(wheels):
    page = (ROOT / "poolrace" / "README.md").read_text()
    assert about(wheels[LIGHT]).get_payload() == page
    assert f"## {__version__}" in (ROOT / "poolrace" / "CHANGELOG.md").read_text()
    assert (ROOT / "poolrace" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
