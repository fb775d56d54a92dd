"""The tool as a whole."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pytest

from dlt_orchestrate import __version__
from dlt_orchestrate.config.redaction import learn


def test_it_tells_its_name_and_version(tool) -> None:
    assert tool("--version").output == f"dlt-orchestrate {__version__}\n"


AS_MODULE = """
import runpy, sys

try:
    runpy.run_module("dlt_orchestrate", run_name="__main__", alter_sys=True)
finally:
    print([name for name in ("duckdb", "pyarrow", "rich", "dagster", "requests") if name in sys.modules])
"""


def test_it_runs_as_a_module_without_loading_what_the_command_does_not_need(run_script) -> None:
    assert run_script(AS_MODULE, "--version").stdout == f"dlt-orchestrate {__version__}\n[]\n"


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    told = subprocess.run(
        [sys.executable, "-m", "dlt_orchestrate", "rest-api", "schema"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)

    assert told.stderr == ""


def test_a_failure_is_one_message_on_stderr(run_cli, project) -> None:
    failed = run_cli("pipeline", "unheard_of", "info", check=False)

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr == (
        f"Error: {project}/unheard_of.duckdb cannot be used: the file does not exist. "
        "Run the pipeline first, or name with --destination where it loads to; of a component, its YAML says that.\n"
    )


def test_with_debug_a_failure_shows_where_it_comes_from(run_cli) -> None:
    failed = run_cli("--debug", "pipeline", "unheard_of", "info", check=False)

    assert failed.returncode == 1
    assert "Traceback" in failed.stderr
    assert "DestinationUnavailableError" in failed.stderr


def test_a_failure_of_another_kind_is_told_with_its_type(tool, project) -> None:
    (project / "torn_module.py").write_text("1 / 0")

    failed = tool("config", "explain", "torn_module:source")

    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: ZeroDivisionError: ")
    assert "--debug" in failed.stderr


def test_secrets_stay_out_of_failures(tool, project) -> None:
    learn("pa55word-of-the-tool")

    failed = tool("pipeline", "p", "info", "--destination", "pa55word-of-the-tool.duckdb")

    assert failed.exit_code == 1
    assert "pa55word" not in failed.output
    assert "***" in failed.output


@pytest.mark.parametrize(
    "arguments", [(), ("pipeline",), ("pipeline", "x"), ("nonsense",), ("config", "explain", "no_colon")]
)
def test_a_wrong_call_tells_the_usage(tool, arguments) -> None:
    assert tool(*arguments).exit_code == 2
    assert "Usage: dlt-orchestrate" in tool(*arguments).output


def test_the_file_is_free_again_after_looking(tool, loaded, project) -> None:
    assert tool("pipeline", "warehouse", "info").exit_code == 0

    with duckdb.connect(str(project / "warehouse.duckdb"), config={"threads": 1}) as connection:
        assert connection.execute("SELECT count(*) FROM raw.orders").fetchall() == [(2,)]
