"""What a code location of many assets costs: to load it, and what its events take in Dagster's storage.

`python -m benchmarks.many_assets KIND RESOURCES [DAYS]`, where KIND is `ours`, `ours_one_op`, `dlt` or `bare`; with DAYS
the assets are partitioned by day. Prints CPU seconds by step; those of imports stand for themselves.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

FIRST_DAY = "2026-01-01"


def main(kind: str, resources: int, days: int = 0) -> dict[str, float]:
    """CPU seconds: of imports, of the assets, and of the repository with its job of all assets."""
    started = time.process_time()
    define = {"ours": _ours, "ours_one_op": _ours_in_one_op, "dlt": _dlt, "bare": _bare}[kind]()
    import dagster

    imported = time.process_time()
    partitions = dagster.DailyPartitionsDefinition(FIRST_DAY, end_date=_day_after(days)) if days else None
    assets = define(resources, partitions)
    defined = time.process_time()
    definitions = dagster.Definitions(assets=assets)
    definitions.get_repository_def().load_all_definitions()
    resolved = time.process_time()
    assert len(definitions.resolve_all_asset_keys()) >= resources
    return {"imports": imported - started, "assets": defined - imported, "repository": resolved - defined}


Define = Callable[[int, Any], list[Any]]


def _ours() -> Define:
    import dlt_orchestrate as dlt
    from dlt_orchestrate.dagster import ingest_assets

    return lambda resources, partitions: ingest_assets(
        _source(dlt, resources)(), _pipeline(dlt), partitions_def=partitions, group_name="many"
    )


def _ours_in_one_op() -> Define:
    import dlt_orchestrate as dlt
    from dlt_orchestrate.dagster import ingest_assets

    return lambda resources, partitions: ingest_assets(
        _source(dlt, resources)(), _pipeline(dlt), partitions_def=partitions, group_name="many", isolation="source"
    )


def _dlt() -> Define:
    import dlt
    from dagster_dlt import dlt_assets

    def define(resources: int, partitions: Any) -> list[Any]:
        @dlt_assets(
            dlt_source=_source(dlt, resources)(), dlt_pipeline=_pipeline(dlt), partitions_def=partitions, group_name="many"
        )
        def many(context):  # noqa: ARG001
            yield from ()

        return [many]

    return define


def _bare() -> Define:
    import dagster

    def asset_of(number: int, partitions: Any) -> Any:
        @dagster.asset(name=f"records_{number}", partitions_def=partitions, group_name="many")
        def load() -> None:
            return None

        return load

    return lambda resources, partitions: [asset_of(number, partitions) for number in range(resources)]


def _source(dlt: Any, resources: int) -> Any:
    """A source of either kind whose resources have a cursor, a key and a description."""

    def resource_of(number: int) -> Any:
        at = dlt.sources.incremental("at", initial_value=FIRST_DAY)

        def records(at: Any = at) -> Any:  # noqa: ARG001
            """Records of one table."""
            yield [{"id": number, "at": FIRST_DAY}]

        return dlt.resource(records, name=f"records_{number}", primary_key="id", write_disposition="merge")

    @dlt.source(name="many")
    def many() -> Any:
        return [resource_of(number) for number in range(resources)]

    return many


def _pipeline(dlt: Any) -> Any:
    return dlt.pipeline(pipeline_name="many", destination="duckdb", dataset_name="raw")


def _day_after(days: int) -> str:
    import datetime

    return str(datetime.date.fromisoformat(FIRST_DAY) + datetime.timedelta(days=days))


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    for step, seconds in main(kind, *map(int, numbers)).items():
        print(f"{step:<12}{seconds:8.2f} s")
