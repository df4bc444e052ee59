"""
Commands and options as every subcommand has them.

Each option can also be set by a variable named after the command and the option's long form, e.g. POOLRACE_RACE_PAIRS
for `poolrace race --pairs`. A value that is wrong becomes one line that names the option, or the variable it came from.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from producer.cli._param_types import Parsed, name_of
from producer.errors import PoolraceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any] | click.Command")
"""What an option is put on: a function, or a command made of one."""

NAMED = re.compile(r"--[a-z][a-z-]*")


class Option(click.Option):
    """An option that a variable of its name can set, too, and whose default, if it has one, is shown."""

    def __init__(self, *words: Any, default: Any = None, **attributes: Any) -> None:
        if default is not None:
            kind = attributes.get("type")
            if isinstance(kind, Parsed) and not isinstance(default, str):
                default = kind.text(default)
            attributes["default"] = default
            attributes.setdefault("show_default", True)
        super().__init__(*words, **attributes)

    def variable(self, context: click.Context) -> str | None:
        """Return the variable that sets this option; None for a command that stands alone, not below `poolrace`."""
        if context.auto_envvar_prefix is None:
            return None
        return f"{context.auto_envvar_prefix}_{name_of(self)[2:].upper().replace('-', '_')}"

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the text of the option's variable, or of one that was named for it; None if neither is set."""
        named = click.Parameter.resolve_envvar_value(self, ctx)
        variable = self.variable(ctx)
        return named or (os.environ.get(variable) or None if variable else None)

    def source(self, context: click.Context) -> str:
        """Return where the option's value comes from: its variable if that is set, or the option."""
        if context.get_parameter_source(str(self.name)) is not ParameterSource.ENVIRONMENT:
            return name_of(self)
        known = [self.envvar] if isinstance(self.envvar, str) else list(self.envvar or ())
        return next((name for name in known if os.environ.get(name)), self.variable(context) or name_of(self))


class Command(click.Command):
    """A subcommand whose errors name what was given, and whose help says how variables set its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line and the variables."""
        with _naming_what_was_given(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _naming_what_was_given(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and how else to set them."""
        super().format_options(ctx, formatter)
        example = next((option for option in self.params if isinstance(option, Option)), None)
        if example and ctx.auto_envvar_prefix:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(
                    f"Every option can also be set by a variable, e.g. {name_of(example)} by {example.variable(ctx)}."
                )


class Group(click.Group):
    """A subcommand with subcommands of its own."""

    command_class = Command


def option(*words: str, **attributes: Any) -> Callable[[F], F]:
    """Put an option on a command."""
    return click.option(*words, cls=Option, **attributes)


FULL_OPTION = option("--full", is_flag=True, help="Print the whole report, with every table, after the answer.")
"""The option of commands that print what a run found."""


def command(text: str | None, *, epilog: str) -> Callable[[Callable[..., int]], Command]:
    """Make a subcommand of a function that returns the exit code; the text is its help."""
    return click.command(cls=Command, help=text, epilog=epilog)


def group(text: str | None, *, epilog: str) -> Callable[[Callable[..., None]], Group]:
    """Make a subcommand that has subcommands of its own; the text is its help."""
    return click.group(cls=Group, help=text, epilog=epilog)


@contextmanager
def _naming_what_was_given(context: click.Context) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or context
        if not isinstance(error, click.BadParameter) or isinstance(error, click.MissingParameter) or not error.param:
            raise
        raise UsageError(f"{_source(context, error.param)}: {error.message}") from error
    except PoolraceError as error:
        raise type(error)(_with_sources(context, str(error))) from error


def _source(context: click.Context, parameter: click.Parameter) -> str:
    return parameter.source(context) if isinstance(parameter, Option) else parameter.human_readable_name


def _with_sources(context: click.Context, message: str) -> str:
    """Put variables in place of the options that a message begins with, where the values came from variables."""
    sources = {name_of(each): each.source(context) for each in context.command.params if isinstance(each, Option)}
    head, colon, rest = message.partition(":")
    return NAMED.sub(lambda found: sources.get(found[0], found[0]), head) + colon + rest
