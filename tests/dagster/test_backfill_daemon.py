"""A backfill through the web server's GraphQL, carried out by the daemons of a real instance."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

pytestmark = pytest.mark.slow

DEFINITIONS = """
import dagster as dg
import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

@dlt.source(name="shop", section="shop")
def shop():
    @dlt.resource
    def sales(at=dlt.sources.incremental("at")):
        yield [{"id": n, "at": f"2026-01-0{n % 4 + 1}T08:00:00Z"} for n in range(10)]

    return [sales]

days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-08")
pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw")
every_day = ingest_assets(shop(), pipeline, partitions_def=days, checks=["primary_key_unique"])
defs = dg.Definitions(assets=every_day, executor=dg.in_process_executor)
"""
BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = "query Status($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
SALES = dg.AssetKey("dlt_shop_sales")
PATIENCE_SECONDS = 180

Ask = Callable[..., dict[str, Any]]


def until(found: Callable[[], Any]) -> Any:
    """Ask until something is found."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.5)
    raise TimeoutError(f"nothing found in {PATIENCE_SECONDS} seconds")


@pytest.fixture
def ask(project: Path) -> Iterator[Ask]:
    """Ask the web server of an instance whose daemons run."""
    home = project / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    (project / "shop_definitions.py").write_text(DEFINITIONS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (project / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-f", "shop_definitions.py", "-h", "127.0.0.1", "-p", str(port)],
            cwd=project,
            env={**os.environ, "DAGSTER_HOME": str(home)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def post(query: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def is_up() -> bool:
        try:
            return bool(post("{ version }"))
        except OSError:
            return False

    try:
        until(is_up)
        yield post
    finally:
        server.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # whatever of it is left


def test_a_backfill_of_a_range_is_one_run_with_the_rows_of_each_day(ask: Ask, project: Path) -> None:
    days = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]

    for _ in range(2):
        params = {"assetSelection": [{"path": SALES.path}], "partitionNames": days}
        launched = ask(BACKFILL, params=params)["launchPartitionBackfill"]
        identity = launched["backfillId"]
        status = until(
            lambda identity=identity: (
                found
                if (found := ask(STATUS, id=identity)["partitionBackfillOrError"]["status"])
                not in ("REQUESTED", "CANCELING", "FAILING")
                else None
            )
        )
        assert status == "COMPLETED_SUCCESS"

    with dg.DagsterInstance.from_config(str(project / "dagster_home")) as instance:
        assert len(instance.get_runs()) == 2
        assert instance.get_materialized_partitions(SALES) == set(days)
        records = instance.fetch_materializations(SALES, limit=4).records
        counts = {
            record.partition_key: record.asset_materialization.metadata["dagster/partition_row_count"].value
            for record in records
        }
    assert counts == {"2026-01-01": 3, "2026-01-02": 3, "2026-01-03": 2, "2026-01-04": 2}
    with duckdb.connect(str(project / "warehouse.duckdb")) as connection:
        assert connection.execute("select count(*) from raw.sales").fetchall() == [(10,)]
