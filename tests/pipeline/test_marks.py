"""Marks: one resource fills several tables, each by hints of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate import mark
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed

Rows = list[dict[str, Any]]


@pytest.fixture(params=["duckdb", "memory"])
def pipeline(project: Any, request: pytest.FixtureRequest) -> dlt.Pipeline:
    return dlt.pipeline("marks", destination=request.param, dataset_name="mydata")


def rows(pipeline: dlt.Pipeline, table: str, *columns: str) -> list[Any]:
    found = sorted(pipeline.dataset()[table].select(*columns).fetchall(), key=repr)
    return [row[0] for row in found] if len(columns) == 1 else found


def types(pipeline: dlt.Pipeline, table: str) -> dict[str, str]:
    stored = pipeline.schemas["marks"].tables[table].columns
    return {name: str(column.type) for name, column in stored.items() if not name.startswith("_dlt")}


def yielding(*items: Any, **hints: Any) -> dlt.Resource:
    return dlt.resource(lambda: iter(items), name="events", **hints)


# --- names -------------------------------------------------------------------------------------------------------


def test_marked_records_pages_and_frames_go_to_the_named_tables_and_others_to_the_resources_own(
    pipeline: dlt.Pipeline,
) -> None:
    info = pipeline.run(
        yielding(
            mark.with_table_name({"id": 1}, "single"),
            {"id": 2},
            mark.with_table_name([{"id": 3}, {"id": 4}], "paged"),
            mark.with_table_name(pa.table({"id": [5, 6]}), "arrow"),
            mark.with_table_name(pd.DataFrame({"id": [7]}), "pandas"),
            [mark.with_table_name({"id": 8}, "single"), {"id": 9}],
            mark.with_table_name({"id": 10}, "single"),
        )
    )

    assert rows(pipeline, "single", "id") == [1, 10, 8]
    assert rows(pipeline, "events", "id") == [2, 9]
    assert rows(pipeline, "paged", "id") == [3, 4]
    assert rows(pipeline, "arrow", "id") == [5, 6]
    assert rows(pipeline, "pandas", "id") == [7]
    assert set(info.resources["events"].tables) == {"events", "single", "paged", "arrow", "pandas"}
    assert len(info.loads_ids) == 1


def test_a_resource_that_only_yields_marked_items_makes_no_table_of_its_own(pipeline: dlt.Pipeline) -> None:
    pipeline.run(yielding(mark.with_table_name({"id": 1}, "orders")))

    assert pipeline.dataset().row_counts() == {"orders": 1}


def test_a_marked_generator_marks_what_it_yields(pipeline: dlt.Pipeline) -> None:
    pipeline.run(yielding(mark.with_table_name(({"id": n} for n in range(3)), "numbers")))

    assert rows(pipeline, "numbers", "id") == [0, 1, 2]


def test_marks_survive_steps_and_a_step_may_mark(pipeline: dlt.Pipeline) -> None:
    resource = yielding(mark.with_table_name([{"n": 1}, {"n": 2}, {"n": 3}], "kept"), [{"n": 4}, {"n": 5}])
    resource.add_map(lambda row: row | {"m": row["n"] * 10})
    resource.add_filter(lambda row: row["n"] != 2)
    resource.add_yield_map(lambda row: [row, row] if row["n"] == 3 else [row])
    resource.add_step(lambda page: page)
    resource.add_map(lambda row: mark.with_table_name(row, "moved") if row["n"] == 5 else row)

    pipeline.run(resource)

    assert rows(pipeline, "kept", "n", "m") == [(1, 10), (3, 30), (3, 30)]
    assert rows(pipeline, "events", "n") == [4]
    assert rows(pipeline, "moved", "n") == [5]


def test_marked_items_pass_the_cursor_as_others_do(pipeline: dlt.Pipeline) -> None:
    resource = yielding(
        mark.with_table_name(pa.table({"id": [1, 2, 3]}), "arrow"),
        mark.with_table_name([{"id": 1}, {"id": 5}], "paged"),
        mark.with_table_name({"id": 1}, "single"),
        mark.with_table_name({"id": 4}, "single"),
        incremental=dlt.sources.incremental("id", initial_value=2),
    )

    first = pipeline.run(resource)
    second = pipeline.run(resource)

    assert pipeline.dataset().row_counts() == {"arrow": 2, "paged": 1, "single": 1}
    assert first.resources["events"].cursor_after == 5
    assert not second.resources["events"].changed


def test_limits_count_marked_yields_and_their_rows(pipeline: dlt.Pipeline) -> None:
    pages = [mark.with_table_name([{"id": n}, {"id": n + 1}], "pages") for n in (0, 2, 4)]

    pipeline.run(yielding(*pages).add_limit(2))
    pipeline.run(yielding(*pages).with_name("again").add_limit(3, count_rows=True))

    assert rows(pipeline, "pages", "id") == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_mark_of_a_parent_goes_over_to_what_a_transformer_makes(pipeline: dlt.Pipeline) -> None:
    @dlt.transformer(data_from=yielding(mark.with_table_name([{"id": 1}, {"id": 2}], "marked"), {"id": 3}))
    def enriched(item: Any) -> Iterator[Any]:
        for row in item if isinstance(item, list) else [item]:
            yield row | {"seen": True}

    pipeline.run(enriched)

    assert rows(pipeline, "marked", "id") == [1, 2]
    assert rows(pipeline, "enriched", "id") == [3]


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_a_mark_needs_the_name_of_a_table(name: Any) -> None:
    with pytest.raises(DeclarationError, match=r"mark\.with_table_name: the name of a table was expected"):
        mark.with_table_name({"id": 1}, name)


# --- hints -------------------------------------------------------------------------------------------------------


def test_a_variant_has_its_own_hints_and_else_those_of_the_resource(pipeline: dlt.Pipeline) -> None:
    hints = mark.make_hints(table_name="orders", columns=[{"name": "price", "data_type": "decimal"}], primary_key="no")

    def events(price: str) -> dlt.Resource:
        return yielding(
            mark.with_hints({"no": 1, "price": price}, hints, create_table_variant=True),
            mark.with_table_name({"no": 2, "price": "7"}, "orders"),
            {"id": 1, "price": price},
            primary_key="id",
            write_disposition="merge",
        )

    pipeline.run(events("1.5"))
    pipeline.run(events("2.5"))

    assert [(no, float(price)) for no, price in rows(pipeline, "orders", "no", "price")] == [(1, 2.5), (2, 7)]
    assert rows(pipeline, "events", "id", "price") == [(1, "2.5")]
    assert types(pipeline, "orders")["price"].startswith("decimal")
    stored = pipeline.schemas["marks"].tables["orders"]
    assert (stored.write_disposition, stored.resource) == ("merge", "events")


def test_variants_of_one_resource_have_dispositions_of_their_own(pipeline: dlt.Pipeline) -> None:
    def events(value: int) -> dlt.Resource:
        replaced = mark.make_hints(table_name="latest", write_disposition="replace")
        merged = mark.make_hints(table_name="current", write_disposition="merge", primary_key="id")
        return yielding(
            {"value": value},
            mark.with_hints([{"value": value}], replaced, create_table_variant=True),
            mark.with_hints({"id": 1, "value": value}, merged, create_table_variant=True),
        )

    pipeline.run(events(1))
    pipeline.run(events(2))

    assert rows(pipeline, "events", "value") == [1, 2]
    assert rows(pipeline, "latest", "value") == [2]
    assert rows(pipeline, "current", "id", "value") == [(1, 2)]


def test_hints_without_a_variant_change_the_resource_from_there_on(pipeline: dlt.Pipeline) -> None:
    resource = yielding(
        mark.with_hints({"id": "1"}, mark.make_hints(table_name="renamed", columns={"id": {"data_type": "bigint"}})),
        {"id": "2"},
    )

    pipeline.run(resource)

    assert rows(pipeline, "renamed", "id") == [1, 2]
    assert types(pipeline, "renamed") == {"id": "bigint"}
    assert pipeline.dataset().tables[0] == "renamed"
    assert (resource.table_name, resource.columns) == ("events", {})


def test_types_of_columns_may_come_with_later_items(pipeline: dlt.Pipeline) -> None:
    hints = mark.make_hints(columns={"amount": {"data_type": "double"}})

    pipeline.run(yielding({"amount": 1}, mark.with_hints({"amount": 2}, hints), {"amount": 3}))

    assert types(pipeline, "events") == {"amount": "double"}
    assert rows(pipeline, "events", "amount") == [1, 2, 3]


def test_hints_that_decide_how_rows_are_taken_apart_come_too_late_behind_rows(pipeline: dlt.Pipeline) -> None:
    hints = mark.make_hints(primary_key="id", write_disposition="merge")

    with pytest.raises(PipelineStepFailed, match="table 'events': hints that came with a later item change its key"):
        pipeline.run(yielding([{"id": 1}], mark.with_hints([{"id": 2}], hints)))

    assert not pipeline.has_data


def test_a_variant_has_a_schema_contract_of_its_own(pipeline: dlt.Pipeline) -> None:
    def events(row: dict[str, Any]) -> dlt.Resource:
        frozen = mark.make_hints(table_name="frozen", schema_contract={"columns": "discard_value"})
        return yielding(row, mark.with_hints(row, frozen, create_table_variant=True))

    pipeline.run(events({"id": 1}))
    pipeline.run(events({"id": 2, "new": "x"}))

    assert types(pipeline, "events") == {"id": "bigint", "new": "text"}
    assert types(pipeline, "frozen") == {"id": "bigint"}
    assert rows(pipeline, "frozen", "id") == [1, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: mark.with_hints({}, {"primary_kye": "id"}),
            "no hint 'primary_kye' for an item. Did you mean 'primary_key'",
        ),
        (lambda: mark.with_hints({}, {"incremental": 1}), "A cursor cannot change while it runs"),
        (lambda: mark.with_hints({}, {}, create_table_variant=True), "must say which"),
        (
            lambda: mark.with_hints({}, mark.make_hints(table_name=lambda row: "t"), create_table_variant=True),
            "as a text",
        ),
        (lambda: mark.make_nested_hints(colums={}), "no hint 'colums'. Did you mean 'columns'"),
    ],
)
def test_a_mark_that_cannot_work_is_an_error_where_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()


# --- replace -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_own_rows", [True, False])
def test_replace_empties_every_table_of_the_resource_that_no_row_comes_for(
    pipeline: dlt.Pipeline, *, has_own_rows: bool
) -> None:
    def events(*tables: str) -> dlt.Resource:
        own: Rows = [{"id": 1}] if has_own_rows or "left" in tables else []
        marked = [mark.with_table_name({"id": 1}, table) for table in tables]
        return yielding(own, *marked, write_disposition="replace")

    pipeline.run(events("left", "right"))
    pipeline.run(events("right"))

    assert pipeline.dataset().row_counts() == {"events": int(has_own_rows), "left": 0, "right": 1}


def test_replace_without_any_marked_item_still_empties_the_marked_tables(pipeline: dlt.Pipeline) -> None:
    pipeline.run(yielding({"id": 1}, mark.with_table_name({"id": 1}, "left"), write_disposition="replace"))
    pipeline.run(yielding({"id": 2}, write_disposition="replace"))

    assert pipeline.dataset().row_counts() == {"events": 1, "left": 0}


def test_a_table_that_the_resource_was_renamed_away_from_is_left_alone(pipeline: dlt.Pipeline) -> None:
    pipeline.run(yielding({"id": 1}, table_name="old", write_disposition="replace"))
    pipeline.run(yielding({"id": 2}, table_name="new", write_disposition="replace"))

    assert pipeline.dataset().row_counts() == {"new": 1, "old": 1}


# --- empty tables ------------------------------------------------------------------------------------------------

COLUMNS = {"id": {"data_type": "bigint"}, "name": {"data_type": "text", "description": "Full name."}}


def test_a_table_without_rows_is_made_with_its_declared_columns(pipeline: dlt.Pipeline) -> None:
    pipeline.run(yielding(mark.materialize_table_schema(), columns=COLUMNS))

    assert pipeline.dataset().row_counts() == {"events": 0}
    assert types(pipeline, "events") == {"id": "bigint", "name": "text"}
    assert rows(pipeline, "events", "id", "name", "_dlt_id", "_dlt_load_id") == []


def test_without_the_mark_a_declared_table_without_rows_is_not_made(pipeline: dlt.Pipeline) -> None:
    info = pipeline.run(yielding([], columns=COLUMNS))

    assert not info.loads_ids
    assert not pipeline.has_data


def test_an_empty_table_is_made_once_and_gets_columns_that_are_declared_later(pipeline: dlt.Pipeline) -> None:
    loads = [
        len(pipeline.run(yielding(mark.materialize_table_schema(), columns=columns)).loads_ids)
        for columns in (COLUMNS, COLUMNS, {**COLUMNS, "age": {"data_type": "bigint"}})
    ]

    assert loads == [1, 0, 1]
    assert types(pipeline, "events") == {"id": "bigint", "name": "text", "age": "bigint"}


def test_an_empty_table_takes_rows_of_the_same_run_and_later_ones(pipeline: dlt.Pipeline) -> None:
    pipeline.run(yielding(mark.materialize_table_schema(), {"id": "1"}, columns=COLUMNS))
    pipeline.run(yielding({"id": 2}, columns=COLUMNS))

    assert rows(pipeline, "events", "id", "name") == [(1, None), (2, None)]


def test_an_empty_table_may_be_named_and_hinted_and_passes_steps_and_cursor(pipeline: dlt.Pipeline) -> None:
    hints = mark.make_hints(table_name="orders", columns={"no": {"data_type": "bigint"}})
    resource = yielding(
        mark.with_hints(mark.materialize_table_schema(), hints, create_table_variant=True),
        mark.with_table_name(mark.materialize_table_schema(), "bare"),
        incremental=dlt.sources.incremental("id"),
        table_name=lambda row: row["kind"],
    )
    resource.add_map(lambda row: row["id"]).add_filter(lambda row: row["id"]).add_yield_map(lambda row: row["id"])

    pipeline.run(resource)

    assert types(pipeline, "orders") == {"no": "bigint"}
    assert pipeline.dataset().row_counts() == {"bare": 0, "orders": 0}


def test_an_empty_table_without_a_name_is_an_error_where_rows_choose_theirs(pipeline: dlt.Pipeline) -> None:
    resource = yielding(mark.materialize_table_schema(), table_name=lambda row: row["kind"])

    with pytest.raises(PipelineStepFailed, match="does not tell which table is meant"):
        pipeline.run(resource)


# --- functions of records ----------------------------------------------------------------------------------------


def test_hints_may_be_functions_of_a_record_where_its_table_is_one(pipeline: dlt.Pipeline) -> None:
    def is_order(row: dict[str, Any]) -> bool:
        return bool(row["kind"] == "order")

    def events(value: int) -> dlt.Resource:
        return dlt.resource(
            [{"no": 1, "kind": "order", "value": value}, {"kind": "visit", "value": value}],
            name="events",
            table_name=lambda row: f"{row['kind']}s",
            write_disposition=lambda row: "merge" if is_order(row) else "replace",
            primary_key=lambda row: "no" if is_order(row) else (),
            columns=lambda row: {"value": {"data_type": "double" if is_order(row) else "bigint"}},
        )

    pipeline.run(events(1))
    pipeline.run(events(2))

    assert rows(pipeline, "orders", "no", "value") == [(1, 2.0)]
    assert rows(pipeline, "visits", "value") == [2]
    assert types(pipeline, "orders")["value"] == "double"
    assert types(pipeline, "visits")["value"] == "bigint"


def test_columns_of_one_table_may_come_record_by_record(pipeline: dlt.Pipeline) -> None:
    resource = dlt.resource(
        [{"a": "1", "column": "a"}, {"b": "2", "column": "b"}],
        name="events",
        table_name=lambda row: "events",
        columns=lambda row: {row["column"]: {"data_type": "bigint"}},
    )

    pipeline.run(resource)

    assert types(pipeline, "events") == {"a": "bigint", "column": "text", "b": "bigint"}


def test_a_function_of_records_that_fails_names_resource_and_hint(pipeline: dlt.Pipeline) -> None:
    resource = yielding({"id": 1}, table_name=lambda row: "t", primary_key=lambda row: row["no such key"])

    with pytest.raises(PipelineStepFailed, match="Resource 'events', the function given as primary_key: KeyError"):
        pipeline.run(resource)
