"""
Declarations of the demonstration's workloads, read from the source of `worker.workloads` without importing it.

The producer needs the names at once, for its help and its checks. It may run where `worker` is a package of the user's,
which it must not import, and a workload may import modules that take long.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "worker" / "workloads"
"""The folder with a module for each workload. Modules whose names begin with an underscore are left out."""

CONSTANT = "WORKLOAD"
"""The constant in which a module declares its workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """
    The part of a workload that is known without running its module.

    Attributes:
        module: The module's name in its folder.
        name: The workload's name on the command line and in reports.
        needs: Fields of `worker.settings.Settings` that its jobs take.
    """

    module: str
    name: str
    needs: tuple[str, ...] = ()


def declarations(folder: Path = FOLDER) -> tuple[Declaration, ...]:
    """
    Read the declarations of a folder, in the order of the workloads' names.

    Raises:
        ValueError: If a module declares no workload, or two modules declare one of the same name.
    """
    found: dict[str, Declaration] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        declared = declaration(path)
        if declared.name in found:
            other = found[declared.name].module
            raise ValueError(f"{path}: {declared.name!r} is declared in {other}.py already. Choose another name.")
        found[declared.name] = declared
    return tuple(found[name] for name in sorted(found))


def declaration(path: Path) -> Declaration:
    """
    Read the declaration of one module.

    Raises:
        ValueError: If the module has no declaration, or its name or needs are not literals.
    """
    for statement in ast.parse(path.read_bytes(), filename=str(path)).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=constant)], value=ast.Call(keywords=keywords)) if constant == CONSTANT:
                return Declaration(module=path.stem, **_literals(keywords, path))
    raise ValueError(
        f'{path}: declares no workload. Add {CONSTANT} = Workload(name="...", ...), '
        "or begin the file's name with an underscore."
    )


def _literals(keywords: list[ast.keyword], path: Path) -> dict[str, Any]:
    try:
        given = {each.arg: ast.literal_eval(each.value) for each in keywords if each.arg in {"name", "needs"}}
        return {"name": given["name"], "needs": given.get("needs", ())}
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'{path}: the name of {CONSTANT} must be a literal such as name="gzip", and so must its needs.'
        ) from error
