"""The state that resources of a source share counts every change, also when one op loads them all."""

from pathlib import Path
from typing import Any

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import DltResource, dlt_assets


def test_one_op_for_all_resources_loses_no_change_of_the_shared_state(project: Path) -> None:
    @dlt.source
    def counting() -> Any:
        for name in ("one", "two", "three"):

            def rows(name: str = name) -> Any:
                state = dlt.current.source_state()
                state["calls"] = state.get("calls", 0) + 1
                yield {"name": name}

            yield dlt.resource(rows, name=name)

    pipeline = dlt.pipeline("counting", destination="duckdb", dataset_name="counting")

    @dlt_assets(dlt_source=counting(), dlt_pipeline=pipeline, name="counting")
    def assets(context: dg.AssetExecutionContext, dlt: DltResource) -> Any:
        yield from dlt.run(context=context)

    with dg.instance_for_test() as instance:
        for _ in range(2):
            assert dg.materialize([assets], resources={"dlt": DltResource()}, instance=instance).success

    assert pipeline.state["sources"]["counting"]["calls"] == 6
