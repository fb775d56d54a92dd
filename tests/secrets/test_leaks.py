"""No secret is found in anything that runs print or leave: whether they succeed, fail, or die."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from leaks import files_below, leaks, marked

SCRIPTS = Path(__file__).with_name("scripts")
NAMES = (
    "from_file bearer key_in_query key_in_header password userinfo in_code in_model not_a_number of_destination in_resource"
).split()
SECRETS = {name: marked(name) for name in NAMES} | {"userinfo": "mk_userinfo+ofniresu"}


@pytest.fixture
def run_with_secrets(project: Path):
    """Run a command with all the secrets; gives everything that it printed or left, by place."""
    (project / ".dlt").mkdir()
    (project / ".dlt" / "secrets.toml").write_text(
        f"[sources.battery]\nfrom_file = {json.dumps(SECRETS['from_file'], ensure_ascii=False)}\n", encoding="utf-8"
    )

    def run(*command: str, **variables: str) -> dict[str, bytes]:
        done = subprocess.run(
            command,
            cwd=project,
            env={**os.environ, "MARKED_SECRETS": json.dumps(SECRETS), "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            timeout=120,
            check=False,
        )
        printed = {"stdout": done.stdout, "stderr": done.stderr, "exit code": str(done.returncode).encode()}
        return printed | files_below(project.parent, without=["project/.dlt/secrets.toml"])

    return run


@pytest.mark.parametrize("text", ["Authorization: {}", "%22{}", "a{}z"])
def test_the_scan_finds_a_secret_however_it_is_written(text: str) -> None:
    secret = SECRETS["bearer"]
    for written in (
        secret,
        quote(secret, safe=""),
        json.dumps({"a": secret}),
        repr(secret),
        base64.b64encode(f"user:{secret}".encode()).decode(),
        base64.b64encode(f"userx:{secret}!".encode()).decode(),
        base64.b64encode(f"u:{secret}".encode("latin-1")).decode(),
    ):
        assert leaks({"bearer": secret}, {"here": text.format(written).encode()}), written
    assert not leaks(SECRETS, {"here": b"Authorization: *** and Secret(***)"})


def test_runs_that_succeed_and_fail_leave_no_secret(run_with_secrets) -> None:
    left = run_with_secrets(sys.executable, str(SCRIPTS / "battery.py"), DIES="nested")

    assert b"the end" in left["stdout"], left["stderr"].decode()[-3000:]
    assert left["exit code"] == b"1"
    assert leaks(SECRETS, left) == []


def test_dagster_runs_leave_no_secret_in_event_log_compute_log_or_metadata(run_with_secrets, project: Path) -> None:
    home = project.parent / "dagster_home"
    home.mkdir()

    left = run_with_secrets(sys.executable, str(SCRIPTS / "dagster_battery.py"), DAGSTER_HOME=str(home))

    assert left["stdout"].endswith(b"the end\n"), left["stderr"].decode()[-3000:]
    assert any(place.endswith(".err") for place in left), "no compute log was captured"
    assert leaks(SECRETS, left) == []


SOURCE = """
import os
import dlt_orchestrate as dlt


@dlt.source
def shop(bearer: str = dlt.secrets.value, url: str = dlt.config.value, pin: int = dlt.secrets.value):
    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders():
        yield [{"id": 1}, {"id": None, "why": bearer}]

    @dlt.resource
    def broken():
        raise RuntimeError(f"no {bearer}")
        yield

    return orders, broken


if __name__ == "__main__":
    dlt.pipeline("shop", destination="duckdb").run(shop(pin=1))
"""


def test_the_command_line_shows_no_secret(run_with_secrets, project: Path) -> None:
    (project / "shop.py").write_text(SOURCE, encoding="utf-8")
    tool = str(Path(sys.executable).with_name("dlt-orchestrate"))
    variables = {
        "SHOP__BEARER": SECRETS["bearer"],
        "SHOP__URL": f"https://ada:{SECRETS['userinfo']}@api.example/?api_key={quote(SECRETS['key_in_query'], safe='')}",
        "SHOP__PIN": SECRETS["not_a_number"],
    }
    assert run_with_secrets(sys.executable, "shop.py", **variables)["exit code"] == b"1"

    for words in (
        ("--debug", "config", "explain", "shop:shop", "--pipeline", "shop"),
        ("pipeline", "shop", "info", "-v"),
        ("pipeline", "shop", "rejects", "--values"),
        ("pipeline", "shop", "state", "--json"),
        ("pipeline", "shop", "show", "--output", "shop.html"),
        ("schema", "shop"),
        ("--debug", "pipeline", "shop", "info", "--destination", f"postgresql://ada:{SECRETS['of_destination']}@db/x"),
    ):
        left = run_with_secrets(tool, *words, **variables)

        assert leaks(SECRETS, left) == [], words
