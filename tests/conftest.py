"""What every test may use: a sample API, a project folder of its own, scripts run as a user runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import mariadb_server
import postgres_server
import pytest
from hypothesis import HealthCheck, settings
from postgres_server import clean_database

from dlt_orchestrate.config import redaction
from dlt_orchestrate.testing.sample_api import SampleApi

# Not looked through for doctests: scripts run pipelines when imported, and conftest files share one module name.
collect_ignore_glob = ["*/scripts/*", "conftest.py", "*/conftest.py"]

RunScript = Callable[..., subprocess.CompletedProcess[str]]

SCRIPT_TIMEOUT_SECONDS = 600

# How long an example takes is the machine's affair: no test measures time.
settings.register_profile("as long as it takes", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("as long as it takes")


def pytest_unconfigure() -> None:
    """Beside other workers a process ends without its exit handlers."""
    postgres_server.leave()
    mariadb_server.leave()


@pytest.fixture
def sample_api() -> Iterator[SampleApi]:
    """A GitHub-shaped API on a free port, 40 records to a page at most."""
    with SampleApi(max_per_page=40) as api:
        yield api


@pytest.fixture(autouse=True)
def secrets_of_this_test_only() -> Iterator[None]:
    """What one test has learnt to mask, such as the word `none`, the next may print."""
    redactor = redaction._redactor
    learnt, spellings = set(redactor._learnt), set(redactor._spellings)
    yield
    redactor._learnt, redactor._spellings, redactor._pattern = learnt, spellings, None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder as working directory, an empty home beside it, no configuration in the environment."""
    folder, home = tmp_path / "project", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    for name in list(os.environ):
        if "__" in name.strip("_") or name.startswith(("DLT_", "DAGSTER_", "GITHUB_")) or name == "ACCESS_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=["duckdb", "postgres"])
def destination_name(request: pytest.FixtureRequest, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A destination by its name, configured and empty; a test that asks for it runs once for each."""
    with ExitStack() as stack:
        if request.param == "postgres":
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", stack.enter_context(clean_database()))
        yield request.param


@pytest.fixture
def run_script(project: Path) -> RunScript:
    """Run a Python script in a process of its own: `run_script(path_or_text, *arguments, cwd=…, env=…, check=True)`.

    A path is copied into the working directory first, as a reader saves a script that a tutorial shows.
    """

    def run(
        script: Path | str,
        *arguments: str,
        cwd: Path = project,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        saved = cwd / (script.name if isinstance(script, Path) else "script.py")
        if isinstance(script, Path):
            shutil.copy(script, saved)
        else:
            saved.write_text(script, encoding="utf-8")
        return run_command(sys.executable, saved.name, *arguments, cwd=cwd, env=env, check=check)

    return run


@pytest.fixture
def run_cli(project: Path) -> RunScript:
    """Run the command line tool: `run_cli("pipeline", "quick_start", "info", cwd=…, env=…, check=True)`."""

    def run(
        *arguments: str, cwd: Path = project, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        tool = Path(sys.executable).with_name("dlt-orchestrate")
        return run_command(str(tool), *arguments, cwd=cwd, env=env, check=check)

    return run


def run_command(*command: str, cwd: Path, env: Mapping[str, str] | None, check: bool) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_SECONDS,
        check=False,
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done
