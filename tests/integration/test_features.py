"""What `poolrace/pools.py` says of each pool is what the installed Celery does, tried on a node each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from integration.commands import poolrace

from poolrace.pools import POOLS, Feature

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 400.0
TRIED = {each.value for each in Feature} - {"memory"}  # memory is measured by every race
RACED = {name for name, pool in POOLS.items() if pool.is_default}


@pytest.mark.heavy
def test_each_pool_does_what_is_said_of_it(tmp_path: Path) -> None:
    with poolrace(tmp_path, "drill", "features", "--json", "--out", str(tmp_path / "runs")) as command:
        code, out, err = command.finish(PATIENCE_S)
        command.assert_nothing_left()
    tried = json.loads(out)
    wrong = [(each["pool"], each["feature"]) for each in tried if not each["agrees"]]
    assert (code, wrong) == (0, []), err
    for pool in RACED:
        assert {each["feature"] for each in tried if each["pool"] == pool} >= TRIED
