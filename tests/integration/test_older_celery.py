"""Lanes whose nodes run an older Celery, beside one of today's: raced, and told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from integration.commands import PATIENCE_S, SMALL
from integration.servers import OLDER, REQUIRED

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.servers


def interpreter(folder, version):
    """An environment with an older Celery, and of this one what a node needs besides."""
    if not OLDER[version].exists() and not REQUIRED:
        pytest.skip(f"no Celery {version} here; `make test-servers` says how to get it")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    ours = Path(pytest.__file__).parents[1]
    (packages / "older.pth").write_text("\n".join(map(str, [OLDER[version], ROOT, ours])))
    return folder / "bin" / "python"


@pytest.mark.parametrize("version", list(OLDER))
def test_it_is_raced_beside_that_of_today_and_the_report_says_in_which_versions_lanes_differ(tmp_path, version):
    python = interpreter(tmp_path / "venv", version)
    lanes = ("--lane", "threads:2", "--lane", f"threads:2:python={python}")
    done = subprocess.run(
        [sys.executable, "-m", "producer", "race", *SMALL, *lanes, "--out", str(tmp_path / "runs")],
        cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr  # 4: beside other tests the generator may be late
    (folder,) = (tmp_path / "runs").iterdir()
    nodes = json.loads((folder / "manifest.json").read_text())["nodes"]
    lanes = {node["lane"]: node["hello"]["celery"] for node in nodes}
    today, older = lanes.values()
    assert (older.startswith(version), today.startswith(version)) == (True, False)
    assert f"celery: {', '.join(f'{lane} {celery}' for lane, celery in lanes.items())}." in done.stdout
