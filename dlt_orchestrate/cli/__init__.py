"""The command line tool `dlt-orchestrate`."""

from __future__ import annotations


def main() -> None:
    """Run the tool with the arguments of the process; ends the process."""
    from dlt_orchestrate.cli.app import app

    app.main(prog_name="dlt-orchestrate")
