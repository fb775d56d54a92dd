"""A Dagster job in process: an asset for each of twenty resources. The limit: bare assets that insert by hand."""

from typing import Any

from benchmarks.records import flat_pages
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "20 resources of Dagster assets, {records} records",
    records=20_000,
    small=200,
    bars=Bars(tuned=1.5, default=3, limit=1.2),
)

RESOURCES = 20


def expected_rows(task: Task) -> int:
    return task.records // RESOURCES


def ours(task: Task, **options: Any) -> int:
    from benchmarks import our_side
    from dlt_orchestrate.dagster import ingest_assets

    pipeline = our_side.pipeline(task)
    _materialize(ingest_assets(_source_of(task, _module_ours()), pipeline, **options))
    return pipeline.dataset()("SELECT count(*) FROM records_7").fetchscalar()


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    dlt = dlt_side.import_dlt(task)
    import dagster
    from dagster_dlt import DagsterDltResource, dlt_assets

    pipeline = dlt_side.pipeline(task)

    @dlt_assets(dlt_source=_source_of(task, dlt)(), dlt_pipeline=pipeline)
    def many(context: dagster.AssetExecutionContext, loader: DagsterDltResource):
        yield from loader.run(context=context, **dlt_side.run_arguments(task))

    _materialize([many], resources={"loader": DagsterDltResource()})
    return dlt_side.count(pipeline, "records_7")


def limit(task: Task) -> int:
    import dagster

    from benchmarks import by_hand
    from benchmarks.known_schemas import CUSTOMER

    def asset_of(number: int) -> Any:
        @dagster.asset(name=f"records_{number}")
        def load() -> None:
            with by_hand.one_transaction(task.database) as loader:
                for page in flat_pages(expected_rows(task)):
                    loader.add(f"records_{number}", by_hand.batch(page, CUSTOMER))

        return load

    _materialize([asset_of(number) for number in range(RESOURCES)])
    with by_hand.one_transaction(task.database) as loader:
        return by_hand.count(loader, "records_7")


def _materialize(assets: list[Any], resources: dict[str, Any] | None = None) -> None:
    import dagster

    with dagster.DagsterInstance.ephemeral() as instance:
        assert dagster.materialize(assets, instance=instance, resources=resources).success


def _module_ours() -> Any:
    import dlt_orchestrate

    return dlt_orchestrate


def _source_of(task: Task, dlt: Any) -> Any:
    """A source of either kind; the interface is the same."""

    @dlt.source(name="many")
    def many() -> Any:
        for number in range(RESOURCES):
            yield dlt.resource(lambda: flat_pages(expected_rows(task)), name=f"records_{number}")

    return many
