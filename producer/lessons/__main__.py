"""
Runs one experiment in the interpreter that it is about: `python -m producer.lessons NAME`.

For each line on standard input one repetition is run and printed as a line of JSON. When the input closes, however that
comes, the experiment ends what it started.
"""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from producer.lessons.bench import Bench, CannotTryError, this_python
from producer.lessons.catalogue import find

if TYPE_CHECKING:
    from producer.lessons.lesson import Seen


def main() -> None:
    """Run the experiment that the command line names."""
    # Nodes and experiments may print; only what is meant for the caller goes to the output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def answer(**what: Any) -> None:
        print(json.dumps(what), file=answers)

    entry = find(sys.argv[1])
    assert entry is not None
    try:
        with Bench() as bench:
            with closing(entry.observe(bench)) as repetitions:  # type: ignore[type-var]
                for _ in sys.stdin:
                    cores = bench.free_cores()
                    seen = next(repetitions, None)
                    # Asked each time: an import of the experiment may have turned the GIL on.
                    answer(seen=seen and _known(seen), cores=cores, python=asdict(this_python()))
    except CannotTryError as reason:
        answer(cannot=str(reason))


def _known(seen: Seen) -> dict[str, Any]:
    """Return what was seen without what this system does not tell, for which JSON has no value."""
    known = {name: float(value) for name, value in seen.figures.items() if not math.isnan(value)}
    return {**asdict(seen), "figures": known}


if __name__ == "__main__":
    main()
