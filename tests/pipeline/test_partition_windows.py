"""Loads of partitions by key: what they replace, what they leave alone, who may be partitioned so."""

from __future__ import annotations

from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed
from dlt_orchestrate.state.commits import Window


@pytest.fixture
def pipeline(destination_name: str) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination=destination_name, dataset_name="mydata")


def stores(records: list[dict[str, Any]], **hints: Any) -> Any:
    """A resource that yields the records of the partition's region."""

    def found() -> Any:
        region = dlt.current.partition_key()
        yield [record for record in records if record["region"] == region]

    return dlt.resource(found, name="stores", **hints)


def stored(pipeline: dlt.Pipeline, *columns: str) -> list[tuple]:
    return sorted(pipeline.dataset()["stores"].select(*(columns or ("id", "region"))).fetchall(), key=repr)


@pytest.mark.parametrize("disposition", ["append", "replace", "merge"])
def test_a_partition_loaded_again_takes_the_place_of_itself_and_of_no_other(
    pipeline: dlt.Pipeline, disposition: Any
) -> None:
    records = [{"id": 1, "region": "eu"}, {"id": 2, "region": "us"}, {"id": 3, "region": "us"}]
    declared = stores(records, write_disposition=disposition, primary_key="id")
    for region in ("eu", "us", "eu", "us"):
        pipeline.run(declared, partition=region)

    assert stored(pipeline) == [(1, "eu"), (2, "us"), (3, "us")]


def test_rows_that_left_a_partition_go_with_its_next_load(pipeline: dlt.Pipeline) -> None:
    records = [{"id": 1, "region": "eu"}, {"id": 2, "region": "eu"}, {"id": 3, "region": "us"}]
    declared = stores(records)
    for region in ("eu", "us"):
        pipeline.run(declared, partition=region)

    del records[0]
    pipeline.run(declared, partition="eu")
    assert stored(pipeline) == [(2, "eu"), (3, "us")]

    records.clear()
    pipeline.run(declared, partition="eu")
    pipeline.run(declared, partition="eu")
    assert stored(pipeline) == [(3, "us")]


def whole(records: list[dict[str, Any]], strategy: str = "delete-insert", **hints: Any) -> Any:
    """A merged resource that says it gives all records of the partition's region."""

    def found() -> Any:
        dlt.current.replace_partition()
        region = dlt.current.partition_key()
        yield [record for record in records if record["region"] == region]

    disposition = {"disposition": "merge", "strategy": strategy}
    return dlt.resource(found, name="stores", primary_key="id", write_disposition=disposition, **hints)


@pytest.mark.parametrize("strategy", ["delete-insert", "upsert", "cdc"])
def test_a_merge_deletes_what_a_partition_has_no_more_if_its_source_gives_all_of_it(
    pipeline: dlt.Pipeline, strategy: str
) -> None:
    records = [{"id": n, "region": "eu" if n < 4 else "us", "lines": [{"n": n}]} for n in range(1, 5)]
    declared = whole(records, strategy)
    for region in ("eu", "us"):
        pipeline.run(declared, partition=region)

    del records[0]
    records[0]["lines"] = [{"n": 20}]
    report = pipeline.run(declared, partition="eu").resources["stores"]
    assert stored(pipeline) == [(2, "eu"), (3, "eu"), (4, "us")]
    assert sorted(pipeline.dataset()["stores__lines"].select("n").fetchall()) == [(3,), (4,), (20,)]
    assert (report.rows_loaded, report.rows_inserted, report.rows_updated, report.rows_deleted) == (2, 0, 2, 1)

    del records[:2]
    pipeline.run(declared, partition="eu")
    assert stored(pipeline) == [(4, "us")]
    assert pipeline.dataset()["stores__lines"].select("n").fetchall() == [(4,)]


def test_a_row_that_another_partition_has_taken_over_stays_with_it(pipeline: dlt.Pipeline) -> None:
    records = [{"id": 1, "region": "eu"}, {"id": 2, "region": "eu"}, {"id": 1, "region": "us"}]
    declared = whole(records)
    for region in ("eu", "us"):
        pipeline.run(declared, partition=region)

    del records[0]
    pipeline.run(declared, partition="eu")

    assert stored(pipeline) == [(1, "us"), (2, "eu")]


def test_a_limit_is_told_where_it_leaves_a_partition_with_less(pipeline: dlt.Pipeline) -> None:
    def found() -> Any:
        dlt.current.replace_partition()
        assert dlt.current.partition_key() == "eu"
        yield from ([{"id": 1, "region": "eu"}], [{"id": 2, "region": "eu"}])

    declared = dlt.resource(found, name="stores", primary_key="id", write_disposition="merge")
    pipeline.run(declared, partition="eu")

    info = pipeline.run(declared.clone().add_limit(1), partition="eu")

    assert stored(pipeline) == [(1, "eu")]
    assert "now holds only the rows of this load" in "".join(info.resources["stores"].warnings)
    pipeline.run(declared, partition="eu")
    assert stored(pipeline) == [(1, "eu"), (2, "eu")]


def test_rows_of_a_table_that_another_resource_fills_are_merged_by_their_keys_alone(pipeline: dlt.Pipeline) -> None:
    records = [{"id": 1, "region": "eu"}, {"id": 2, "region": "eu"}]
    others = dlt.resource([{"id": 9, "region": "sea"}], name="ships", table_name="stores", primary_key="id")
    pipeline.run(others, write_disposition="merge")
    declared = whole(records)
    pipeline.run(declared, partition="eu")

    del records[0]
    info = pipeline.run(declared, partition="eu")

    assert stored(pipeline) == [(1, "eu"), (2, "eu"), (9, "sea")]
    assert "'ships' fills the table, too, so rows that" in "".join(info.resources["stores"].warnings)


def test_a_partition_by_day_and_region_replaces_that_day_of_that_region(pipeline: dlt.Pipeline) -> None:
    records = [{"id": n, "region": r, "day": d} for n, (r, d) in enumerate([("eu", 1), ("us", 1), ("eu", 2), ("us", 2)])]

    @dlt.resource
    def stores(day=dlt.sources.incremental("day")):
        yield [record for record in records if record["region"] == dlt.current.partition_key("region")]

    for _ in range(2):
        for region in ("eu", "us"):
            for day in (1, 2):
                pipeline.run(stores, window=(str(day), str(day + 1)), partition={"region": region})
    assert stored(pipeline, "id") == [(0,), (1,), (2,), (3,)]

    records[0]["id"] = 9
    report = pipeline.run(stores, window=("1", "2"), partition={"region": "eu"}).resources["stores"]

    assert stored(pipeline, "id") == [(1,), (2,), (3,), (9,)]
    assert (report.rows_loaded, report.rows_deleted) == (1, 1)


def test_a_partition_neither_reads_nor_moves_the_cursor(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def stores(at=dlt.sources.incremental("at", initial_value=0)):
        region = dlt.current.partition_key()
        yield {"id": at.last_value, "region": region, "at": 5}

    pipeline.run(stores)
    before = pipeline.state
    pipeline.run(stores, partition="eu")
    pipeline.run(stores, partition="eu")

    assert pipeline.state == before
    assert stored(pipeline) == [(0, "eu"), (0, None)]


def test_a_resource_that_does_not_ask_for_its_partition_is_refused_and_loads_nothing(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def stores(at=dlt.sources.incremental("at")):
        yield {"id": 1, "at": 1}

    with pytest.raises(PipelineStepFailed, match=r"current\.partition_key\(\)") as failure:
        pipeline.run(stores, partition="eu")
    assert isinstance(failure.value.__cause__, DeclarationError)

    with pytest.raises(DeclarationError, match=r"partition 'eu' does not bound it"):
        pipeline.run([{"id": 1}], table_name="stores", partition="eu")

    assert pipeline.first_run


def test_several_keys_are_asked_for_by_their_names(pipeline: dlt.Pipeline) -> None:
    asked: list[Any] = []

    @dlt.resource
    def stores():
        asked.extend([dlt.current.partition_key("region"), dlt.current.partition_key("kind")])
        yield {"id": dlt.current.partition_key()}

    with pytest.raises(PipelineStepFailed, match="name one of its keys, 'kind', 'region'"):
        pipeline.run(stores, partition={"region": "eu", "kind": "café"})

    assert asked == ["eu", "café"]


def test_a_load_without_partition_has_no_key(pipeline: dlt.Pipeline) -> None:
    pipeline.run(stores([{"id": 1, "region": None}, {"id": 2, "region": "eu"}]))

    assert stored(pipeline, "id") == [(1,)]


@pytest.mark.parametrize(
    "window",
    [
        Window("2026-01-01", "2026-01-02"),
        Window(keys=(("partition", 'a "quoted" key | partition:'),)),
        Window("1", "2", (("kind", ""), ("region", "Zürich"))),
    ],
)
def test_a_window_is_read_from_the_texts_it_was_written_as(window: Window) -> None:
    assert Window.from_texts(*window.to_texts()) == window
