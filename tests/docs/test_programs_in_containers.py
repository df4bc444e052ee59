"""Programs that tests run in containers import what is there: no linter looks into a text, and no engine is needed."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

COMPOSE = Path(__file__).parents[1] / "compose"


def imports() -> Iterator[tuple[str, str, str]]:
    """By file, each name that a program in a text imports from a package of ours."""
    for path in sorted(COMPOSE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for module, name in re.findall(r"from ((?:producer|poolrace|worker)[\w.]*) import (\w+)", node.value):
                    yield path.name, module, name


FOUND = sorted(set(imports()))


def test_there_are_such_programs() -> None:
    assert {"followed.py", "test_faults.py", "test_stack.py"} <= {path for path, _, _ in FOUND}


@pytest.mark.parametrize(("path", "module", "name"), FOUND)
def test_what_they_import_is_there(path: str, module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name), path
