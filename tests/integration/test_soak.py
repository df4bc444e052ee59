"""A soak on real nodes: an app's leak is found, with its task, and what it costs to replace children."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from integration.commands import is_of_the_machine, poolrace

from producer.rundir.reader import read_run

APP = Path(__file__).parents[1] / "apps" / "leaky"
GENERATOR_LATE, LEAKS = 4, 99
KEPT_BYTES = 20_000


@pytest.mark.heavy
def test_the_task_that_leaks_is_named_with_what_each_of_its_jobs_keeps(tmp_path: Path) -> None:
    words = (
        "--app", "leaky:app", "--workdir", str(APP), "--jobs", str(APP / "jobs.jsonl"), "--lane", "prefork:2",
        "--for", "110s", "--recycle", "20", "--utilisation", "0.4", "--json", "--out", str(tmp_path / "runs"),
    )  # fmt: skip
    with poolrace(tmp_path, "soak", *words) as command:
        code, out, err = command.finish(patience_s=240)
        command.assert_nothing_left()
    assert "Traceback" not in err
    summary = json.loads(out)
    assert [problem for problem in summary["problems"] if not is_of_the_machine(problem)] == []
    assert code == (GENERATOR_LATE if summary["problems"] else LEAKS)
    (lane,) = summary["soak"]["lanes"]
    assert (lane["lane"], lane["growing"]) == ("prefork", "leak")
    assert ("memory", False) in [(each["what"], each["root"]) for each in lane["growths"] if each["growing"] == "leak"]
    of_children = {task["workload"]: task for task in lane["tasks"] if not task["root"]}
    assert of_children["leaks"]["bytes_per_job"] == pytest.approx(KEPT_BYTES, rel=0.3)
    assert abs(of_children["clean"]["bytes_per_job"]) < KEPT_BYTES / 5
    recycling = lane["recycling"]
    assert recycling["replaced"] > 5
    assert recycling["capacity"] > 0
    (folder,) = (tmp_path / "runs").iterdir()
    processes = read_run(folder).processes
    assert processes.filter(lane="prefork", root=False)["pid"].n_unique() == 2
    assert processes.filter(lane="prefork-recycled", root=False)["pid"].n_unique() > 2
