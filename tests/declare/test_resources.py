from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import (
    ConfigFieldMissingError,
    DeclarationError,
    InvalidArgumentsError,
    InvalidResourceDataError,
    ResourceNameMissingError,
    SourceExhaustedError,
)
from dlt_orchestrate.schema.table import ColumnHint, TableHints
from dlt_orchestrate.schema.types import ColumnType

CONFIG_VALUE: Any = ConfigMarker(is_secret=False)


def numbers(count: int = 3) -> Iterator[dict[str, int]]:
    """Counts upwards."""
    yield from ({"id": number} for number in range(count))


# --- three ways to declare one --------------------------------------------------------------------------------


def test_a_decorated_function_takes_its_name_table_and_description_from_itself() -> None:
    declared = resource(numbers)

    assert (declared.name, declared.table_name, declared.section) == ("numbers", "numbers", "test_resources")
    assert declared.table_hints() == TableHints(description="Counts upwards.")
    assert (declared.selected, declared.parallelized, declared.is_transformer) == (True, False, False)
    assert len(list(declared)) == 3


def test_a_decorator_with_arguments_declares_hints() -> None:
    @resource(table_name="issues", write_disposition="merge", primary_key="id", max_table_nesting=2)
    def get_issues() -> Iterator[Any]:
        yield []

    assert (get_issues.name, get_issues.table_name, get_issues.primary_key) == ("get_issues", "issues", ("id",))
    assert get_issues.table_hints() == TableHints(write_disposition="merge", primary_key=("id",), max_nesting=2)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (numbers, "numbers"),
        (numbers(), "numbers"),
        (functools.partial(numbers, 2), "numbers"),
    ],
)
def test_a_call_with_a_function_or_its_generator_takes_the_functions_name(data: Any, name: str) -> None:
    assert resource(data).name == name


@pytest.mark.parametrize(
    "data", [[{"id": 1}], range(3), (n for n in range(3)), lambda: [1], pl.DataFrame({"id": [1]}), {1, 2}]
)
def test_data_without_a_name_of_its_own_needs_one(data: Any) -> None:
    with pytest.raises(ResourceNameMissingError, match=r"Pass table_name=.* or name="):
        resource(data)

    assert resource(data, name="given").name == "given"


@pytest.mark.parametrize("data", [{"id": 1}, "text", b"bytes", 7, 1.5, None, True, object()])
def test_data_that_holds_no_records_is_an_error_with_advice(data: Any) -> None:
    with pytest.raises(InvalidResourceDataError, match="Resource 'bad'") as error:
        resource(data, name="bad")

    assert error.value.data_type == type(data).__name__


def test_one_record_should_be_enclosed_in_a_list() -> None:
    with pytest.raises(InvalidResourceDataError, match="Enclose it in a list"):
        resource({"id": 1}, name="bad")


def test_a_running_generator_is_read_once_everything_else_any_number_of_times() -> None:
    for data in ([{"id": 1}], range(3), numbers):
        declared = resource(data, name="again")
        assert list(declared) == list(declared)

    once = resource(numbers(), name="once")
    assert len(list(once)) == 3
    with pytest.raises(SourceExhaustedError, match="Resource 'once'"):
        list(once)


def test_trying_a_resource_out_reads_no_more_than_is_asked_for() -> None:
    endless = resource(itertools.count, name="endless").add_map(lambda number: {"id": number})

    assert list(itertools.islice(endless, 2)) == [{"id": 0}, {"id": 1}]


# --- hints ------------------------------------------------------------------------------------------------------


COLUMNS = [
    {"name": "id", "data_type": "bigint", "nullable": False, "primary_key": True},
    {"name": "day", "merge_key": True},
    {"name": "price", "data_type": "decimal", "precision": 10, "scale": 2, "description": "In euro.", "unique": True},
    {"name": "at", "data_type": "timestamp", "timezone": False, "x-origin": "api"},
]


@pytest.mark.parametrize(
    "columns",
    [COLUMNS, {hint["name"]: {key: value for key, value in hint.items() if key != "name"} for hint in COLUMNS}],
    ids=["list", "dictionary"],
)
def test_columns_are_declared_by_name_or_as_a_list(columns: Any) -> None:
    hints = resource([], name="prices", columns=columns, primary_key=["shop"]).table_hints()

    assert hints.primary_key == ("shop", "id")
    assert hints.merge_key == ("day",)
    assert hints.columns == {
        "id": ColumnHint(ColumnType("bigint"), nullable=False),
        "day": ColumnHint(),
        "price": ColumnHint(ColumnType("decimal", 10, 2), description="In euro.", hints={"unique": True}),
        "at": ColumnHint(ColumnType("timestamp", timezone=False), hints={"x-origin": "api"}),
    }


SCD2 = {"disposition": "merge", "strategy": "scd2"}


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({"columns": {"v": {"data_type": "int"}}}, "column 'v': there is no data type 'int'"),
        ({"columns": {"v": {"precision": 3}}}, "need a data_type beside them"),
        ({"columns": {"v": "text"}}, "must be a dictionary such as"),
        ({"columns": [{"data_type": "text"}]}, "under None"),
        ({"columns": 5}, "not int"),
        ({"primary_key": 5}, "primary_key must be a column name or a list of column names, not int"),
        ({"merge_key": [""]}, "merge_key must be"),
        ({"primary_key": lambda row: "id"}, "primary_key can be a function of a record only where table_name is one"),
        ({"columns": {"v": {"data_tpye": "text"}}}, "there is no column hint 'data_tpye'. Did you mean 'data_type'"),
        ({"columns": {"v": {"colour": "red"}}}, "no column hint 'colour'. Known are cluster.* begins with 'x-'"),
        ({"write_disposition": "upsert"}, "there is no write disposition 'upsert'. Known are append, replace, merge"),
        (
            {"write_disposition": {"disposition": "merge", "strategy": "scd3"}},
            "has no strategy 'scd3'. Merge has 'delete-i",
        ),
        ({"write_disposition": {"disposition": "append", "strategy": "scd2"}}, "'append' has no strategy 'scd2'"),
        ({"write_disposition": {"disposition": "merge", "since": 1}}, "there is no option 'since'"),
        ({"write_disposition": {**SCD2, "validity_column_names": ["since"]}}, "must be two different names"),
        ({"write_disposition": {**SCD2, "boundary_timestamp": "soon"}}, "boundary_timestamp must be a datetime"),
        ({"columns": {"v": {"dedup_sort": "up"}}}, "dedup_sort must be 'asc'.* found 'up'"),
        ({"table_name": 5}, "table_name must be a name or a function"),
        ({"max_table_nesting": -1}, "max_table_nesting must be 0 or a positive number"),
        ({"nested_hints": ["a"]}, "nested_hints must be a dictionary"),
        ({"nested_hints": {("a", 1): {}}}, "stand under the key that leads to the nested table"),
    ],
)
def test_a_hint_that_cannot_work_is_an_error_at_once(hints: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=f"Resource 'bad'.*{message}"):
        resource([], name="bad", **hints)


def test_the_default_merge_strategy_may_be_named() -> None:
    declared = resource([], name="r", write_disposition={"disposition": "merge", "strategy": "delete-insert"})

    assert declared.write_disposition == "merge"


def test_hints_can_be_changed_later_and_columns_merge_by_name() -> None:
    declared = resource([], name="r", primary_key="id", columns={"v": {"data_type": "text"}})
    declared.apply_hints(write_disposition="merge", columns={"v": {"nullable": False}, "w": {"data_type": "bool"}})

    assert declared.write_disposition == "merge"
    assert declared.primary_key == ("id",)
    assert declared.columns == {"v": {"data_type": "text", "nullable": False}, "w": {"data_type": "bool"}}


def test_a_bad_hint_that_is_applied_later_changes_nothing() -> None:
    declared = resource([], name="r")

    with pytest.raises(DeclarationError):
        declared.apply_hints(table_name="other", write_disposition="unknown")

    assert declared.table_name == "r"


# --- variants -----------------------------------------------------------------------------------------------------


def test_calling_a_resource_binds_arguments_to_a_clone() -> None:
    declared = resource(numbers)

    assert len(list(declared(2))) == len(list(declared(count=2))) == 2
    assert len(list(declared)) == 3


def test_arguments_that_do_not_fit_are_an_error_at_once() -> None:
    with pytest.raises(InvalidArgumentsError, match="Resource 'numbers' cannot be called: got an unexpected keyword"):
        resource(numbers)(size=3)
    with pytest.raises(DeclarationError, match="takes no arguments"):
        resource([], name="r").bind(1)


def test_a_renamed_clone_has_a_table_of_its_own() -> None:
    declared = resource(numbers)
    twin = declared.with_name("twin").add_limit(1)

    assert (twin.name, twin.table_name, len(list(twin))) == ("twin", "twin", 1)
    assert (declared.name, len(list(declared))) == ("numbers", 3)


def test_steps_of_a_clone_are_its_own() -> None:
    declared = resource(numbers)
    doubled = declared.clone().add_map(lambda row: {"id": row["id"] * 2})

    assert [row["id"] for row in doubled] == [0, 2, 4]
    assert [row["id"] for row in declared] == [0, 1, 2]


def test_a_step_must_be_a_function() -> None:
    with pytest.raises(DeclarationError, match="a step must be a function, not str"):
        resource(numbers).add_map("upper")  # type: ignore[arg-type]


def test_a_transformer_can_be_tried_out_with_its_parent() -> None:
    @transformer(data_from=resource(numbers))
    def scaled(row: dict[str, int], k: int = 10) -> dict[str, int]:
        return {"v": row["id"] * k}

    assert [row["v"] for row in scaled(k=3)] == [0, 3, 6]
    assert [row["v"] for row in resource(numbers)(2) | scaled] == [0, 10]


# --- configuration and cursors --------------------------------------------------------------------------------------


def test_arguments_come_from_the_configuration_when_the_resource_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    @resource
    def paged(per_page: int = CONFIG_VALUE) -> Iterator[Any]:
        yield {"per_page": per_page}

    monkeypatch.setenv("SOURCES__TEST_RESOURCES__PAGED__PER_PAGE", "17")

    assert list(paged) == [{"per_page": 17}]
    assert list(paged(per_page=3)) == [{"per_page": 3}]


def test_a_value_that_is_not_configured_is_missed_when_the_resource_runs() -> None:
    @resource
    def paged(per_page: int = CONFIG_VALUE) -> Iterator[Any]:
        yield {"per_page": per_page}

    with pytest.raises(ConfigFieldMissingError, match="Resource 'paged'"):
        list(paged)


def declared_by_default(u: Incremental[str] = Incremental("u", initial_value="a")) -> Iterator[Any]:  # noqa: B008
    yield {"last": u.last_value}


def declared_by_annotation(u: Incremental[str]) -> Iterator[Any]:
    yield {"last": u.last_value}


@pytest.mark.parametrize(
    "declared",
    [
        resource(declared_by_default),
        resource(declared_by_default, incremental=Incremental("u", initial_value="a")),
        resource(declared_by_annotation, incremental=Incremental("u", initial_value="a")),
        resource(declared_by_annotation)(Incremental("u", initial_value="a")),
        resource(declared_by_annotation).apply_hints(incremental=Incremental("u", initial_value="a")),
    ],
)
def test_a_cursor_is_declared_by_default_argument_or_hint(declared: Resource) -> None:
    assert declared.incremental is not None
    assert (declared.incremental.cursor_path, declared.incremental.initial_value) == ("u", "a")
    assert list(declared) == [{"last": "a"}]


def test_a_declaration_outside_of_a_run_stands_at_its_initial_value() -> None:
    declared = Incremental[int]("u", initial_value=1, end_value=5)

    assert (declared.start_value, declared.last_value, declared.end_value) == (1, 1, 5)
    assert (declared.start_out_of_range, declared.end_out_of_range) == (False, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"row_order": "newest"}, "row_order='newest' is not known. Choose one of None, 'asc', 'desc'"),
        ({"on_cursor_value_missing": "skip"}, "on_cursor_value_missing='skip'"),
        ({"range_start": "half"}, "range_start='half'"),
        ({"range_end": "half"}, "range_end='half'"),
        ({"lag": 5, "last_value_func": len}, "lag needs max or min"),
    ],
)
def test_a_cursor_that_cannot_work_is_an_error_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Incremental("u", **arguments)
