"""Computing in C, outside the GIL."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from worker.workloads import native

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_digest_is_that_of_the_blocks() -> None:
    assert len(native.BLOCK) == 64 * 1024
    assert native.digest(3) == hashlib.sha256(native.BLOCK * 3).hexdigest()


def test_it_gives_up_the_gil(lets_others_run: Callable[..., bool]) -> None:
    assert lets_others_run(lambda: native.digest(10))
