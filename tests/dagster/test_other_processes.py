"""What a step needs to run elsewhere: an import path, names, a partition and config; nothing that lives in a process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.metadata import normalize_metadata

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

LOCATION = '''
import os
import time
from pathlib import Path

import dagster as dg
import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets


def meet(name, other):
    """Go on when the other step is under way, too."""
    Path(f"{name}.{os.getpid()}").touch()
    deadline = time.monotonic() + 600
    while not list(Path().glob(f"{other}.*")):
        assert time.monotonic() < deadline, f"{other} does not run beside {name}"
        time.sleep(0.05)


@dlt.source(name="shop", section="shop")
def shop():
    everything = [{"id": n, "at": f"2026-01-0{n}T00:00:00Z"} for n in (1, 2, 3)]

    @dlt.resource(write_disposition="append")
    def orders(at=dlt.sources.incremental("at")):
        meet("orders", "visits")
        yield [dict(record) for record in everything]

    @dlt.resource(write_disposition="append")
    def visits(at=dlt.sources.incremental("at"), token: str = dlt.secrets.value):
        meet("visits", "orders")
        yield [dict(record) for record in everything]

    return [orders, visits]


pipeline = dlt.pipeline(pipeline_name="shop", destination="duckdb", dataset_name="raw")
assets = ingest_assets(shop, pipeline, partitions_def=dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04"))
forking = {"start_method": {"forkserver": {"preload_modules": ["dlt_orchestrate.dagster"]}}, "max_concurrent": 2}
defs = dg.Definitions(
    assets=assets, jobs=[dg.define_asset_job("days", assets)], executor=dg.multiprocess_executor.configured(forking)
)


def days():
    return defs.resolve_job_def("days")
'''

RUN = """
import json, os
import dagster as dg
import location

with dg.DagsterInstance.get() as instance:
    result = dg.execute_job(dg.reconstructable(location.days), instance, tags={"dagster/partition": "2026-01-02"})
    print(json.dumps({"success": result.success, "launcher": os.getpid()}))
"""


def test_metadata_of_definitions_can_be_sent_to_another_process(shop, warehouse) -> None:
    days = dg.DailyPartitionsDefinition("2026-01-01")
    definitions = [
        *ingest_assets(shop.source(), warehouse, name="all"),
        *ingest_assets(shop.source(), warehouse, name="one_op", isolation="source"),
        *ingest_assets(shop.source().with_resources("orders"), warehouse, name="by_day", partitions_def=days),
    ]

    for spec in (spec for definition in definitions for spec in definition.specs):
        ours = {name: value for name, value in spec.metadata.items() if not name.startswith("dagster/")}
        assert json.loads(json.dumps(ours)) == ours
        sent = dg.serialize_value(normalize_metadata(spec.metadata))
        assert dg.deserialize_value(sent, dict) == normalize_metadata(spec.metadata)


def test_assets_are_defined_without_the_credentials_of_their_database(project: Path, shop) -> None:
    warehouse = dlt.pipeline(pipeline_name="warehouse", destination="postgres", dataset_name="raw")

    specs = [spec for definition in ingest_assets(shop.source(), warehouse) for spec in definition.specs]

    assert [spec.metadata["dlt_orchestrate/resource"] for spec in specs] == ["orders", "visits", "internal/audit"]
    assert {frozenset(spec.kinds) for spec in specs} == {frozenset({"dlt", "postgres"})}
    assert not any("dagster/table_name" in spec.metadata for spec in specs)


def test_the_source_is_not_asked_anew_for_each_of_its_assets(project: Path, warehouse) -> None:
    calls: list[str] = []

    def shop() -> Any:
        calls.append("called")
        return dlt.source(lambda: [dlt.resource([{"id": 1}], name=f"table_{n}") for n in range(50)], name="shop")()

    ingest_assets(shop, warehouse)

    assert len(calls) < 10


def test_33942_the_steps_of_a_partition_are_rebuilt_in_processes_of_their_own_and_run_side_by_side(
    project: Path, run_script, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project / "dagster_home"
    home.mkdir()
    (project / "location.py").write_text(LOCATION)
    settings = {"DAGSTER_HOME": str(home), "SOURCES__SHOP__TOKEN": "t-0123456789", "PYTHONPATH": import_path(project)}

    ran = json.loads(run_script(RUN, env=settings).stdout.splitlines()[-1])

    assert ran["success"]
    processes = {path.name.partition(".")[0]: int(path.suffix[1:]) for path in project.glob("*.[0-9]*")}
    assert len({ran["launcher"], processes["orders"], processes["visits"]}) == 3
    pipeline = dlt.attach("shop", dataset_name="raw")
    assert [pipeline.dataset()(f"SELECT id FROM {table}").fetchall() for table in ("orders", "visits")] == [[(2,)], [(2,)]]


def import_path(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
