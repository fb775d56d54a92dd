"""PostgreSQL as users meet it: by name and configuration, in runs, on the command line, beside other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import dagster as dg
import pyarrow as pa
import pytest
from postgres_server import clean_database, execute, rows

import dlt_orchestrate as dlt
from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.errors import CommitConflictError, ConfigFieldMissingError, PipelineStepFailed


@pytest.fixture
def url(project: Path) -> Iterator[str]:
    with clean_database() as found:
        yield found


@pytest.fixture
def pipeline(url: str, monkeypatch: pytest.MonkeyPatch) -> dlt.Pipeline:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    return dlt.pipeline("shop", destination="postgres", dataset_name="raw")


# --- configuration -----------------------------------------------------------------------------------------------


def test_credentials_are_configured_as_a_url_or_field_by_field(url: str, project: Path) -> None:
    parts = urlsplit(url)
    user, password, port = parts.username, parts.password or "never asked", parts.port or 5432
    secrets = project / ".dlt" / "secrets.toml"
    secrets.parent.mkdir()
    ways = [
        "destination.postgres.credentials = "
        f'"postgresql://{user}:{quote(password)}@{parts.hostname}:{port}{parts.path}?sslmode=prefer"',
        "[destination.postgres.credentials]\n"
        f'host = "{parts.hostname}"\nport = {port}\nusername = "{user}"\npassword = "{password}"\n'
        f'database = "{parts.path[1:]}"\nconnect_timeout = 15\nsslmode = "prefer"',
    ]

    for number, text in enumerate(ways):
        secrets.write_text(text)
        info = dlt.pipeline(f"way_{number}", destination="postgres").run([{"id": number}], table_name="t")
        assert info.resources["t"].rows_inserted == 1

    assert rows(url, "SELECT id FROM way_0_dataset.t UNION ALL SELECT id FROM way_1_dataset.t ORDER BY 1") == [(0,), (1,)]
    assert redact(f"{password}, {quote(password)}") == "***, ***"


def test_an_unconfigured_database_is_asked_for_by_its_key(project: Path) -> None:
    with pytest.raises(ConfigFieldMissingError, match="DESTINATION__POSTGRES__CREDENTIALS"):
        dlt.pipeline("shop", destination="postgres").run([{"id": 1}], table_name="t")


def test_a_run_that_is_only_declared_needs_no_client(project: Path) -> None:
    script = (
        "import sys, dlt_orchestrate as dlt\n"
        "dlt.pipeline('p', destination=dlt.destinations.postgres('postgresql://me:pw@nowhere/db'))\n"
        "print(sorted(name for name in sys.modules if name.startswith(('adbc', 'pyarrow'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_load_imports_no_data_frames(url: str) -> None:
    script = (
        "import sys, dlt_orchestrate as dlt\n"
        "pipeline = dlt.pipeline('p', destination=dlt.destinations.postgres(sys.argv[1]), dataset_name='raw')\n"
        "pipeline.run([{'id': 1, 'tags': ['x']}], table_name='t', primary_key='id', write_disposition='merge')\n"
        "print(sorted({'pandas', 'polars', 'pyarrow.dataset'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# --- runs --------------------------------------------------------------------------------------------------------


def test_rows_that_postgresql_has_no_place_for_are_kept_as_rejects(pipeline: dlt.Pipeline) -> None:
    bad = [{"id": 2, "x": "a\0b"}, {"id": 3, "x": {"deep": ["\0"]}}, {"id": 4, "\0": 1}, {"id": 5, "x": ["\0"]}]

    info = pipeline.run([{"id": 1, "x": "fine"}, *bad, {"id": 6}], table_name="t")

    assert pipeline.dataset().t.order_by("id").select("id", "x").fetchall() == [(1, "fine"), (6, None)]
    assert info.resources["t"].rows_rejected == 4
    found = pipeline.dataset()._dlt_rejects.select("cause", "row").fetchall()
    assert len(found) == 4
    assert all("NUL" in cause and "\0" not in row for cause, row in found)


def test_arrow_tables_arrive_with_their_values(pipeline: dlt.Pipeline) -> None:
    table = pa.table(
        {
            "n": pa.array([2**63, 2**64 - 1, 0], pa.uint64()),
            "s": pa.array([{"a": 1}, None, {"a": 2}]),
            "c": pa.array(["x", "y", "x"]).dictionary_encode(),
            "at": pa.array([0, 1, None], pa.timestamp("ns", "Europe/Berlin")),
            "f": pa.array([1.5, float("nan"), None], pa.float32()),
        }
    )

    pipeline.run(table, table_name="t")
    pipeline.run(table.slice(0, 1), table_name="t", write_disposition="replace")

    (row,) = pipeline.dataset().t.select("n", "s__a", "c", "f").fetchall()
    assert row == (2**63, 1, "x", 1.5)
    with pipeline.destination.reader("raw") as reader:
        kinds = reader.tables()["t"]
    assert kinds["n"] == "numeric(38,0)"
    assert kinds["at"] == "timestamp with time zone"


def test_datasets_are_read_by_their_relations(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": number, "name": f"n{number}", "tags": [number]} for number in range(5)], table_name="t")
    data = pipeline.dataset()

    assert data.tables[:2] == ["t", "t__tags"]
    assert data.row_counts() == {"t": 5, "t__tags": 5}
    assert data.t.where("id", "in", [1, 3]).where("name", "ne", "n3").select("id").fetchall() == [(1,)]
    assert data.query("SELECT name FROM t WHERE id = $1", 4).fetchscalar() == "n4"
    assert data.t.order_by("id", "desc").limit(1).df()["name"].to_list() == ["n4"]
    assert sum(batch.num_rows for batch in data.t.iter_arrow()) == 5


def test_the_command_line_shows_what_was_loaded(pipeline: dlt.Pipeline, run_cli: Any, url: str) -> None:
    pipeline.run([{"id": 1, "tags": ["a"]}], table_name="orders")

    told = run_cli("pipeline", "shop", "info", "--destination", "postgres").stdout
    page = run_cli("pipeline", "shop", "show", "--destination", "postgres", "--no-open").stdout

    assert f"loads to  postgresql://{urlsplit(url).hostname}:{urlsplit(url).port}/" in told
    assert "orders__tags" in told
    assert page


def test_assets_name_table_and_database_and_no_credentials(url: str, project: Path) -> None:
    @dlt.source
    def shop() -> Any:
        return dlt.resource([{"id": 1}], name="orders")

    warehouse = dlt.pipeline("shop", destination=dlt.destinations.postgres(url), dataset_name="raw")
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(ingest_assets(shop(), warehouse), instance=instance)

    [event] = result.get_asset_materialization_events()
    seen = {name: entry.value for name, entry in event.materialization.metadata.items()}
    database = urlsplit(url).path[1:]
    assert seen["dagster/table_name"] == f"{database}.raw.orders"
    assert seen["dagster/uri"] == f"postgresql://{urlsplit(url).hostname}:{urlsplit(url).port}/{database}"


# --- other processes ---------------------------------------------------------------------------------------------

RACER = """
import sys, time
import dlt_orchestrate as dlt

url, resource, ready, go = sys.argv[1:]

@dlt.resource(name=resource, primary_key="id", write_disposition="append")
def rows(seq=dlt.sources.incremental("id", initial_value=0)):
    yield [{"id": 1, "by": ready}, {"id": 2, "by": ready}]
    open(ready, "w").close()
    import pathlib
    while not pathlib.Path(go).exists():
        time.sleep(0.01)

pipeline = dlt.pipeline("race", destination=dlt.destinations.postgres(url), dataset_name="raw")
pipeline.run(rows)
"""


def race(url: str, folder: Path, *resources: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a process for each resource; all have extracted before the first commits."""
    script = folder / "racer.py"
    script.write_text(RACER)
    racers = [
        subprocess.Popen(
            [sys.executable, str(script), url, resource, str(folder / f"ready{number}"), str(folder / "go")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for number, resource in enumerate(resources)
    ]
    while not all((folder / f"ready{number}").exists() for number in range(len(resources))):
        assert all(racer.poll() is None for racer in racers), racers[0].communicate()
    (folder / "go").touch()
    ended = [(racer, *racer.communicate(timeout=60)) for racer in racers]
    return [subprocess.CompletedProcess(racer.args, racer.returncode, out, err) for racer, out, err in ended]


def test_of_two_processes_that_load_one_resource_one_commits_and_the_other_is_told(url: str, tmp_path: Path) -> None:
    ended = race(url, tmp_path, "orders", "orders")

    assert sorted(done.returncode for done in ended) == [0, 1]
    assert len(rows(url, "SELECT DISTINCT by FROM raw.orders")) == 1
    ((load_id, host),) = rows(url, "SELECT load_id, host FROM raw._dlt_commits")
    told = next(done.stderr for done in ended if done.returncode)
    assert CommitConflictError.__name__ in told
    assert f"load {load_id} from host {host} committed 1 at " in told


def test_processes_that_load_different_resources_of_a_pipeline_both_commit(url: str, tmp_path: Path) -> None:
    ended = race(url, tmp_path, "orders", "visits")

    assert [done.returncode for done in ended] == [0, 0], ended
    pipeline = dlt.pipeline("race", destination=dlt.destinations.postgres(url), dataset_name="raw")
    assert pipeline.dataset().row_counts() == {"orders": 2, "visits": 2}
    sources = pipeline.state["sources"]
    assert {name for source in sources.values() for name in source["resources"]} == {"orders", "visits"}


def test_a_process_that_is_killed_at_its_commit_leaves_nothing_and_no_lock(url: str, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    script = tmp_path / "racer.py"
    script.write_text(RACER)
    command = [sys.executable, str(script), url, "orders", str(tmp_path / "ready"), str(tmp_path / "go")]

    killed = subprocess.run(command, env={**os.environ, "DLT_ORCHESTRATE_FAULT": "commit.before_commit:kill"}, check=False)
    assert killed.returncode < 0
    assert rows(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'raw'") == [(0,)]

    subprocess.run(command, check=True)
    assert rows(url, "SELECT id FROM raw.orders ORDER BY id") == [(1,), (2,)]


STOPPED = """
import signal, sys
import dlt_orchestrate as dlt

class Stop(BaseException):
    pass

def stop(*_):
    raise Stop

signal.signal(signal.SIGTERM, stop)
destination = dlt.destinations.postgres(sys.argv[1], lock_timeout_seconds=600)
try:
    dlt.pipeline("slow", destination=destination, dataset_name="raw").run([{"id": 1}], table_name="t")
except Stop:
    print("stopped")
"""


def test_a_signal_ends_a_commit_that_waits_and_leaves_no_session(url: str) -> None:
    holder = dlt.destinations.postgres(url)._server
    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    with holder.transaction("READ WRITE", dataset="raw", locks=True) as session:
        process = subprocess.Popen([sys.executable, "-c", STOPPED, url], stdout=subprocess.PIPE, text=True)
        while not (found := session.rows(waiting)):
            assert process.poll() is None
        process.terminate()
        out, _ = process.communicate(timeout=60)
        left = session.rows(f"SELECT count(*) FROM pg_stat_get_activity({found[0][0]})")

    assert (out, process.returncode) == ("stopped\n", 0)
    assert left == [(0,)]
    assert rows(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'raw'") == [(0,)]


def test_a_refusal_of_the_server_fails_the_step_and_says_nothing_of_rows(pipeline: dlt.Pipeline, url: str) -> None:
    pipeline.run([{"id": 1, "mail": "a@x"}], table_name="t")
    execute(url, "ALTER TABLE raw.t ADD CONSTRAINT short CHECK (length(mail) < 5)")

    with pytest.raises(PipelineStepFailed, match="violates check constraint") as caught:
        pipeline.run([{"id": 2, "mail": "somebody@example.org"}], table_name="t")

    failure: BaseException | None = caught.value
    while failure is not None:
        assert "somebody" not in str(failure)
        failure = failure.__cause__ or failure.__context__
