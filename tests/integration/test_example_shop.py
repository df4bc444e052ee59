"""The example is raced as its page says, beside its own site."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from integration.commands import until

from producer.fleet.processes import Processes

SHOP = Path(__file__).parents[2] / "examples" / "shop"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
PATIENCE_S = 200
GENERATOR_LATE = 4

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(importlib.util.find_spec("PIL") is None, reason="Pillow is not installed"),
]


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A short race of the mix: its summary, and its report."""
    with Processes() as processes:
        folder = processes.folder()
        log = folder / "site.log"
        processes.start("site", [sys.executable, "-m", "shop.site", "--port", "0"], cwd=SHOP, log=log)
        site = until(lambda: re.search(r"listening on (http://\S+)", log.read_text()))[1]
        done = subprocess.run(
            ["env", f"SHOP_SITE={site}", POOLRACE, "race", "--app", "shop.celery:app", "--workdir", str(SHOP), "--jobs",
             "shop.load:make_job", "--workload", "mix", "--rate", "20/s", "--concurrency", "2", "--pairs", "1",
             "--duration", "0.3s", "--full", "--out", str(tmp_path_factory.mktemp("shop"))],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        run = Path(re.search(r"^ +Run directory: (\S+)", done.stdout, re.MULTILINE)[1])
        found = next(tmp_path_factory.getbasetemp().glob(f"shop*/{run.name}"))
        yield done, json.loads((found / "summary.json").read_text())


def test_every_job_of_the_shop_is_done_its_orders_with_all_that_they_start(raced):
    done, summary = raced
    assert done.returncode in {0, GENERATOR_LATE}, done.stderr
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 0
    assert summary["workloads"][0]["lanes"][0]["rate_per_s"] == 20


def test_the_report_has_the_answer_and_says_how_sure_it_is(raced):
    done, summary = raced
    (answer,) = summary["answers"]
    assert set(answer["cpu_share"]) == {"prefork", "threads"}
    assert answer["lane"] is None  # one pair is too few, even of a generator that was in time
    assert f"mix: {answer['why']}." in done.stdout
    assert f"mix: {answer['sure']}." in " ".join(done.stdout.split())
