"""
The command `poolrace`. Each file of this folder whose name does not begin with an underscore is a subcommand.

A subcommand is a module with a command of the module's name. The first line of its docstring is its line in
`poolrace --help`. The module is imported only when the command is run or its own help is asked for.
"""

from __future__ import annotations

import ast
import importlib
import io
import os
import pkgutil
import sys
from importlib.abc import InspectLoader
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

import producer.cli
from poolrace import __version__
from producer import interrupts
from producer.cli._exit_codes import exit_code_of, print_error, usage_error
from producer.errors import InterruptedRunError

if TYPE_CHECKING:
    from types import ModuleType


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": "POOLRACE"}


class LazyGroup(click.Group):
    """A group whose subcommands are the modules of a package, each imported when it is needed."""

    def __init__(self, *, package: ModuleType, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """List the subcommands, in alphabetical order."""
        return sorted(each.name for each in pkgutil.iter_modules(self._package.__path__) if each.name[0] != "_")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self._package.__name__}.{cmd_name}")
        found = getattr(module, cmd_name)
        assert isinstance(found, click.Command)
        return found

    def summary(self, name: str) -> str:
        """Return the first line of a subcommand's docstring, which is read without importing it."""
        spec = find_spec(f"{self._package.__name__}.{name}")
        loader = spec.loader if spec else None
        source = loader.get_source(f"{self._package.__name__}.{name}") if isinstance(loader, InspectLoader) else None
        return (ast.get_docstring(ast.parse(source or "")) or "").partition("\n")[0]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each subcommand."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a subcommand, or an option of the group."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [CompletionItem(name, help=self.summary(name)) for name in names] + click.Command.shell_complete(
            self, ctx, incomplete
        )

    def main(self, *args: Any, **extra: Any) -> Any:
        """Read the command line, run what it names and end with the exit code; an error is one line."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            code = print_error(usage_error(error))
        except click.Abort:
            code = print_error(InterruptedRunError("Interrupted."))
        raise SystemExit(code)

    def invoke(self, ctx: click.Context) -> int:
        """Run a subcommand and return its exit code."""
        return exit_code_of(super().invoke, ctx)


@click.group(
    cls=LazyGroup,
    package=producer.cli,
    context_settings=SETTINGS,
    epilog="\b\nExamples:\n  poolrace doctor\n  poolrace race\n  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c",
)
@click.version_option(__version__, prog_name="poolrace", allow_from_autoenv=False)
@click.pass_context
def main(context: click.Context) -> None:
    """Race Celery's worker pools on the same jobs, and say which to use, with evidence."""
    # These lead Celery to somebody else's broker whatever the code says; a race uses its own, or the one named.
    # A user's own app gets the environment as it was.
    context.obj = dict(os.environ)
    for stream in (sys.stdout, sys.stderr):
        # Where a terminal or a pipe has an encoding that lacks a character of the user's own names, it is escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for name in [name for name in os.environ if name.startswith("CELERY_")]:
        del os.environ[name]
    interrupts.install()
