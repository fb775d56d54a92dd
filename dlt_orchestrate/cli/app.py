"""The tool as a whole: its commands, loaded when they are asked for, and how it fails."""

from __future__ import annotations

import importlib
from typing import Any

import click

from dlt_orchestrate.version import __version__

_COMMANDS = {name: name.replace("-", "_") for name in ("config", "openapi", "pipeline", "rest-api", "schema")}
"""The module of each command, by its name here; the command bears the name of the module in it."""


class Tool(click.Group):
    """Imports only the command that is asked for, and tells failures in one message instead of a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - called by click
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - called by click
        if cmd_name not in _COMMANDS:
            return None
        name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"dlt_orchestrate.cli.{name}"), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            from dlt_orchestrate.config.spelling import meant

            raise click.UsageError(f"No such command {args[0]!r}. {meant(args[0], sorted(_COMMANDS))}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise _failure(error) from None


class TryAgain(click.ClickException):
    """A failure of a command that may succeed once others are done."""

    exit_code = 3


def _failure(error: Exception) -> click.ClickException:
    from dlt_orchestrate.errors import CommitConflictError, DestinationLockedError

    kind = TryAgain if isinstance(error, CommitConflictError | DestinationLockedError) else click.ClickException
    return kind(_message(error))


def _message(error: Exception) -> str:
    from dlt_orchestrate.config.redaction import redact
    from dlt_orchestrate.errors import IngestError

    if isinstance(error, IngestError):
        return redact(str(error))
    if isinstance(error, OSError) and error.filename and error.strerror:
        return redact(f"{error.filename} cannot be used: {error.strerror}.")
    return redact(f"{type(error).__name__}: {error}. Put --debug before the command to see where it comes from.")


@click.group("dlt-orchestrate", cls=Tool, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dlt-orchestrate", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
def app(debug: bool) -> None:
    """Look at what pipelines have loaded and where their configuration comes from; draft sources."""
