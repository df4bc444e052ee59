"""
Finds the extension modules that turn the GIL back on in a free-threaded Python. Standard library only.

One import of a module that does not declare itself safe turns the GIL on for the whole process, and only the first such
module is named in a warning. So everything is imported once with the GIL kept off, to see which extension modules there
are; then each of them is loaded alone, in a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NODE = ("celery.bin.celery", "celery.concurrency.thread", "kombu.transport.redis", "redis", "psutil", "urllib3")
"""What a node of Poolrace imports."""

TIMEOUT_S = 60.0
TAIL_LINES = 3
REASON = "poolrace.ownapp.redirect.OwnAppError: "
"""What the last line begins with that a child says of an app which cannot be loaded."""


NAMED = re.compile(r"has been enabled to load module '([^']+)'")
"""The interpreter's own warning; see PEP 703 and `Py_mod_gil`."""

LIST = """
import importlib, importlib.machinery, json, os, sys
app, *names = json.loads(sys.argv[1])
out, sys.stdout = sys.stdout, sys.stderr
sys.path.insert(0, os.getcwd())
sys.path.append(sys.argv[2])
for name in names: importlib.import_module(name)
if app:
    from poolrace.ownapp.redirect import load_app
    found = load_app(app)
    found.finalize()
    found.loader.import_default_modules()
suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
files = {name: getattr(module, '__file__', None) or '' for name, module in list(sys.modules.items())}
json.dump({name: file for name, file in files.items() if file.endswith(suffixes)}, out)
"""
"""Imports an app, or modules, and lists the extension modules that are there then."""

LOAD = """
import importlib.machinery, importlib.util, sys
name, file = sys.argv[1:]
loader = importlib.machinery.ExtensionFileLoader(name, file)
module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, file, loader=loader))
loader.exec_module(module)
"""
"""Loads one extension module without the package around it, which might import others first."""


class ImportFailedError(RuntimeError):
    """An app or a module that cannot be imported; the message ends with what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GilReport:
    """
    What imports do to the GIL.

    Attributes:
        extensions: The extension modules that they load, those of the standard library left out.
        culprits: Those that turn the GIL on.
    """

    extensions: tuple[str, ...]
    culprits: tuple[str, ...]


def is_free_threaded() -> bool:
    """Return whether this interpreter was built to run without the GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def examine(imports: Sequence[str], app: str = "", folder: str = ".") -> GilReport:
    """
    Find the extension modules behind imports, and which of them turn the GIL on in this interpreter.

    Args:
        imports: Modules to import.
        app: A Celery app to load with all its tasks, as `celery -A` takes it; empty for none.
        folder: The folder to import it from.

    Raises:
        ImportFailedError: If something cannot be imported.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH120, PTH100 - a path for sys.path
    question = json.dumps([app, *imports])
    listed = _python("-c", LIST, question, home, folder=folder, gil="0" if is_free_threaded() else "")
    if listed.returncode:
        lines = listed.stderr.strip().splitlines()[-TAIL_LINES:]
        if lines and REASON in lines[-1]:  # said in one line; what leads to it is ours
            lines = [lines[-1].partition(REASON)[2]]
        tail = "\n".join(f"    {line}" for line in lines)
        raise ImportFailedError(f"{app or ', '.join(imports)} cannot be imported by {sys.executable}:\n{tail}")
    files = {name: file for name, file in json.loads(listed.stdout).items() if not _is_standard(file)}
    return GilReport(
        extensions=tuple(sorted(files)),
        culprits=tuple(
            each for each in sorted(files) if is_free_threaded() and _turns_it_on(each, files[each], folder)
        ),
    )


def main() -> None:
    """Answer a question on standard input, `app` and `folder`, on standard output; both are JSON."""
    question = json.loads(sys.stdin.read())
    about = {"version": "{}.{}.{}".format(*sys.version_info), "free_threaded": is_free_threaded()}
    try:
        found = examine(() if question["app"] else NODE, question["app"], question["folder"])
    except ImportFailedError as error:
        print(json.dumps({**about, "error": str(error)}))  # noqa: T201 - the answer
    else:
        print(json.dumps({**about, **asdict(found)}))  # noqa: T201


def _is_standard(file: str) -> bool:
    """Return whether a module is of the standard library, in whose folder other packages may be installed, too."""
    inside = file.removeprefix(os.path.dirname(os.__file__))  # noqa: PTH120
    return inside != file and not re.match(r"[\\/](site|dist)-packages", inside)


def _turns_it_on(name: str, file: str, folder: str) -> bool:
    alone = _python("-W", "always", "-c", LOAD, name, file, folder=folder)
    # A module that cannot be loaded without its package is loaded with it.
    answer = alone if not alone.returncode else _python("-W", "always", "-c", f"import {name}", folder=folder)
    return name in NAMED.findall(answer.stderr)


def _python(*words: str, folder: str, gil: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    if gil:
        environment["PYTHON_GIL"] = gil
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
