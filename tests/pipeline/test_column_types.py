"""What becomes of a column when other values come: its stored type and every stored value, exactly, in a DuckDB file."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NAIVE_NOON = datetime(2026, 1, 2, 12)
DAY = date(2026, 1, 2)
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
WIDE = 2**63
LONGEST = 10**38 - 1
TOO_LONG = 10**38
CENTS = "DECIMAL(38,9)"
MONEY = {"data_type": "decimal", "precision": 10, "scale": 2}


@pytest.fixture
def load(project: Path) -> Any:
    """Load rows into table `t` of a DuckDB file; gives its columns with their types, and its rows in order."""
    pipeline = dlt.pipeline("types", destination="duckdb", dataset_name="d")

    def run(*values: Any, **options: Any) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
        records = [value if isinstance(value, dict) else {"x": value} for value in values]
        pipeline.run(records, table_name="t", **options)
        return stored()

    return run


def stored(table: str = "t") -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    with duckdb.connect("types.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = connection.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? and column_name not like '\\_dlt%' "
            "escape '\\' order by column_index",
            [table],
        ).fetchall()
        names = ", ".join(f'"{name}"' for name, _ in columns)
        order = "_dlt_load_id, _dlt_id" if table == "t" else "_dlt_id"
        found = connection.sql(f'select {names} from d."{table}" order by {order}')
        rows = found.to_arrow_table().to_pylist()
    return dict(columns), [tuple(row.values()) for row in rows]


def values_of(columns: dict[str, str], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows without column `id`."""
    place = list(columns).index("id")
    return [row[:place] + row[place + 1 :] for row in rows]


def alone(kind: str, *values: Any) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    return {"x": kind}, [(value,) for value in values]


def beside(kind: str, variant: str, variant_kind: str, *rows: tuple[Any, ...]) -> tuple[dict[str, str], list[Any]]:
    return {"x": kind, f"x__v_{variant}": variant_kind}, list(rows)


ZONED = "TIMESTAMP WITH TIME ZONE"


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        (None, 1, alone("BIGINT", None, 1)),
        (None, "a", alone("VARCHAR", None, "a")),
        (1, WIDE, alone("DECIMAL(38,0)", Decimal(1), Decimal(WIDE))),
        (-(2**63), -(2**63) - 1, alone("DECIMAL(38,0)", Decimal(-(2**63)), Decimal(-(2**63) - 1))),
        (1, LONGEST, alone("DECIMAL(38,0)", Decimal(1), Decimal(LONGEST))),
        (1, TOO_LONG, beside("BIGINT", "text", "VARCHAR", (1, None), (None, str(TOO_LONG)))),
        (WIDE, TOO_LONG, beside("DECIMAL(38,0)", "text", "VARCHAR", (Decimal(WIDE), None), (None, str(TOO_LONG)))),
        (1, 2.5, alone("DOUBLE", 1.0, 2.5)),
        (2**53, 2.5, alone("DOUBLE", float(2**53), 2.5)),
        (2**53 + 1, 2.5, beside("BIGINT", "double", "DOUBLE", (2**53 + 1, None), (None, 2.5))),
        (1, float("inf"), alone("DOUBLE", 1.0, float("inf"))),
        (1, Decimal("2.50"), alone("DECIMAL(38,9)", Decimal("1.000000000"), Decimal("2.500000000"))),
        (
            1,
            Decimal("0." + "0" * 19 + "1"),
            beside("BIGINT", "decimal", "DECIMAL(38,20)", (1, None), (None, Decimal("0." + "0" * 19 + "1"))),
        ),
        (Decimal("1.5"), 2, alone("DECIMAL(38,9)", Decimal("1.500000000"), Decimal("2.000000000"))),
        (Decimal("1.5"), 10**29, beside(CENTS, "decimal", "DECIMAL(38,0)", (Decimal("1.500000000"), None), (None, 10**29))),
        (
            Decimal("1.5"),
            Decimal("1e-30"),
            beside(CENTS, "decimal", "DECIMAL(38,30)", (Decimal("1.5"), None), (None, Decimal("1e-30"))),
        ),
        (1.5, Decimal("2.50"), beside("DOUBLE", "decimal", "DECIMAL(38,9)", (1.5, None), (None, Decimal("2.500000000")))),
        (1.5, 2**53, alone("DOUBLE", 1.5, float(2**53))),
        (1.5, 2**53 + 1, beside("DOUBLE", "bigint", "BIGINT", (1.5, None), (None, 2**53 + 1))),
        (NOON, DAY, alone(ZONED, NOON, MIDNIGHT)),
        (DAY, NOON, beside("DATE", "timestamp", ZONED, (DAY, None), (None, NOON))),
        (NOON, NAIVE_NOON, beside(ZONED, "timestamp_naive", "TIMESTAMP", (NOON, None), (None, NAIVE_NOON))),
        (NAIVE_NOON, NOON, beside("TIMESTAMP", "timestamp", ZONED, (NAIVE_NOON, None), (None, NOON))),
        ("a", 1, alone("VARCHAR", "a", "1")),
        ("a", 2.5, alone("VARCHAR", "a", "2.5")),
        ("a", True, alone("VARCHAR", "a", "True")),
        ("a", NOON, alone("VARCHAR", "a", "2026-01-02T12:00:00+00:00")),
        ("a", b"x", alone("VARCHAR", "a", "eA==")),
        (1, "3", alone("BIGINT", 1, 3)),
        (1, "007", beside("BIGINT", "text", "VARCHAR", (1, None), (None, "007"))),
        (1.5, "2.5", alone("DOUBLE", 1.5, 2.5)),
        (1.5, "2.50", beside("DOUBLE", "text", "VARCHAR", (1.5, None), (None, "2.50"))),
        (NOON, "2026-01-02T12:00:00Z", alone(ZONED, NOON, NOON)),
        (DAY, "2026-01-02", alone("DATE", DAY, DAY)),
        (True, 1, beside("BOOLEAN", "bigint", "BIGINT", (True, None), (None, 1))),
        (1, True, beside("BIGINT", "bool", "BOOLEAN", (1, None), (None, True))),
        (True, "true", beside("BOOLEAN", "text", "VARCHAR", (True, None), (None, "true"))),
        (time(1, 2), "01:02:00", alone("TIME", time(1, 2), time(1, 2))),
        (b"x", "eA==", beside("BLOB", "text", "VARCHAR", (b"x", None), (None, "eA=="))),
        (2.5, float("-inf"), alone("DOUBLE", 2.5, float("-inf"))),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_column_widens_where_every_value_stays_exact(load: Any, first: Any, then: Any, expected: Any) -> None:
    load({"id": 1, "x": first})

    columns, rows = load({"x": then})

    assert ({name: kind for name, kind in columns.items() if name != "id"}, values_of(columns, rows)) == expected


def test_a_decimal_grows_to_the_digits_of_both_and_no_further_than_38(load: Any) -> None:
    load(Decimal("1.25"), columns={"x": MONEY})

    assert load(Decimal("123456789.1")) == alone("DECIMAL(11,2)", Decimal("1.25"), Decimal("123456789.10"))
    assert load(Decimal("0.00001"))[0] == {"x": "DECIMAL(14,5)"}
    columns, rows = load(10**37)
    assert columns == {"x": "DECIMAL(14,5)", "x__v_decimal": "DECIMAL(38,0)"}
    assert rows[-1] == (None, Decimal(10**37))


def test_a_number_that_meets_a_dictionary_or_a_list_stands_beside_them(load: Any) -> None:
    load(1)

    columns, rows = load({"x": {"a": "b"}}, {"x": [5]})

    assert (columns, rows) == ({"x": "BIGINT", "x__a": "VARCHAR"}, [(1, None), (None, "b"), (None, None)])
    assert stored("t__x") == ({"value": "BIGINT"}, [(5,)])


def test_declared_columns_are_there_before_any_value_and_take_what_comes_then(load: Any) -> None:
    declared = {"x": MONEY, "nothing": {"data_type": "date"}, "unknown": {"description": "no type yet"}}

    columns, rows = load({"id": 1, "x": None}, columns=declared)

    assert columns == {"x": "DECIMAL(10,2)", "nothing": "DATE", "id": "BIGINT"}
    assert rows == [(None, None, 1)]
    columns, rows = load({"x": "1.5", "unknown": "known"})
    assert columns["unknown"] == "VARCHAR"
    assert rows[1] == (Decimal("1.50"), None, None, "known")


# --- the policy `variant` ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ("a", 1, alone("VARCHAR", "a", "1")),
        ("a", b"x", alone("VARCHAR", "a", "eA==")),
        (1, "3", alone("BIGINT", 1, 3)),
        (1, "007", beside("BIGINT", "text", "VARCHAR", (1, None), (None, "007"))),
        (1, 1.0, alone("BIGINT", 1, 1)),
        (1, -0.0, beside("BIGINT", "double", "DOUBLE", (1, None), (None, -0.0))),
        (1, 1.5, beside("BIGINT", "double", "DOUBLE", (1, None), (None, 1.5))),
        (1, True, beside("BIGINT", "bool", "BOOLEAN", (1, None), (None, True))),
        (1, Decimal("2.0"), alone("BIGINT", 1, 2)),
        (1, Decimal("0.1"), beside("BIGINT", "decimal", CENTS, (1, None), (None, Decimal("0.100000000")))),
        (1, WIDE, beside("BIGINT", "decimal", "DECIMAL(38,0)", (1, None), (None, Decimal(WIDE)))),
        (1, NOON, beside("BIGINT", "timestamp", ZONED, (1, None), (None, NOON))),
        (2.5, "3", alone("DOUBLE", 2.5, 3.0)),
        (2.5, "2.50", beside("DOUBLE", "text", "VARCHAR", (2.5, None), (None, "2.50"))),
        (2.5, 1, alone("DOUBLE", 2.5, 1.0)),
        (2.5, Decimal("0.1"), alone("DOUBLE", 2.5, 0.1)),
        (
            2.5,
            Decimal("0.10000000000000000001"),
            beside("DOUBLE", "decimal", "DECIMAL(38,20)", (2.5, None), (None, Decimal("0.10000000000000000001"))),
        ),
        (Decimal("1.5"), "3.50", alone(CENTS, Decimal("1.5"), Decimal("3.5"))),
        (Decimal("1.5"), "03.50", beside(CENTS, "text", "VARCHAR", (Decimal("1.5"), None), (None, "03.50"))),
        (Decimal("1.5"), 0.1, alone(CENTS, Decimal("1.5"), Decimal("0.1"))),
        (True, "false", alone("BOOLEAN", True, False)),
        (True, "yes", beside("BOOLEAN", "text", "VARCHAR", (True, None), (None, "yes"))),
        (True, 0, alone("BOOLEAN", True, False)),
        (True, 7, beside("BOOLEAN", "bigint", "BIGINT", (True, None), (None, 7))),
        (True, 1.0, alone("BOOLEAN", True, True)),
        (NOON, "2026-01-02", alone(ZONED, NOON, MIDNIGHT)),
        (NOON, "2026-01-02T12:00:00", alone(ZONED, NOON, NOON)),
        (NOON, NAIVE_NOON, alone(ZONED, NOON, NOON)),
        (NOON, 86_400, alone(ZONED, NOON, datetime(1970, 1, 2, tzinfo=UTC))),
        (NOON, True, beside(ZONED, "bool", "BOOLEAN", (NOON, None), (None, True))),
        (NOON, DAY, alone(ZONED, NOON, MIDNIGHT)),
        (DAY, "2026-01-03", alone("DATE", DAY, date(2026, 1, 3))),
        (DAY, "2026-01-03T01:00:00", beside("DATE", "text", "VARCHAR", (DAY, None), (None, "2026-01-03T01:00:00"))),
        (DAY, NOON, beside("DATE", "timestamp", ZONED, (DAY, None), (None, NOON))),
        (DAY, 86_400, beside("DATE", "bigint", "BIGINT", (DAY, None), (None, 86_400))),
        (time(1, 2), "01:02:03", alone("TIME", time(1, 2), time(1, 2, 3))),
        (b"x", "eA==", alone("BLOB", b"x", b"x")),
        (b"x", "plain!", beside("BLOB", "text", "VARCHAR", (b"x", None), (None, "plain!"))),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("loads", [1, 2])
def test_by_the_policy_variant_a_column_keeps_its_type_and_takes_what_says_the_same(
    load: Any, monkeypatch: pytest.MonkeyPatch, loads: int, first: Any, then: Any, expected: Any
) -> None:
    monkeypatch.setenv("SCHEMA__TYPE_POLICY", "variant")

    for values in [[first, then]] if loads == 1 else [[first], [then]]:
        found = load(*values)

    assert found == expected
    assert [str(value) for row in found[1] for value in row if isinstance(value, float)] == [
        str(value) for row in expected[1] for value in row if isinstance(value, float)
    ]


def test_by_the_policy_variant_a_stored_decimal_gets_no_more_digits(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEMA__TYPE_POLICY", "variant")
    load(Decimal("1.5"))

    columns, rows = load(Decimal("1e-10"))

    assert columns == {"x": CENTS, "x__v_decimal": "DECIMAL(38,10)"}
    assert rows == [(Decimal("1.5"), None), (None, Decimal("1e-10"))]


def test_the_policy_is_set_for_a_resource_a_source_or_a_pipeline(project: Path) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text(
        "[sources.shop.orders.schema]\ntype_policy = 'variant'\n[strict.schema]\ntype_policy = 'variant'\n"
    )

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return [dlt.resource([{"x": 1}, {"x": 2.5}], name=name) for name in ("orders", "items")]

    for name in ("free", "strict"):
        pipeline = dlt.pipeline(name, destination="duckdb", dataset_name="d")
        pipeline.run(shop())
        columns = {table: set(pipeline.dataset()[table].arrow().column_names) for table in ("orders", "items")}
        assert ["x__v_double" in columns[table] for table in ("orders", "items")] == [True, name == "strict"]


def test_a_policy_that_is_none_is_refused_with_the_place_it_was_found_in(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__TYPE_POLICY", "lax")

    with pytest.raises(PipelineStepFailed, match=r"SCHEMA__TYPE_POLICY is not a valid 'widen' or 'variant'"):
        load(1)


def test_decimals_of_arrow_of_any_width_meet_in_one_column(project: Path) -> None:
    def page(kind: pa.DataType, *numbers: str | None) -> pa.Table:
        return pa.table({"x": pa.array([None if number is None else Decimal(number) for number in numbers], kind)})

    pages = [
        page(pa.decimal128(5, 2), "1.50", None),
        page(pa.decimal128(5, 2), None),
        [{"x": Decimal("2.5")}],
        page(pa.decimal128(20, 6), "12345678901234.000001"),
        page(pa.decimal256(50, 1), "7.5"),
    ]

    dlt.pipeline("types", destination="duckdb", dataset_name="d").run(iter(pages), table_name="t")

    numbers = ["1.5", None, None, "2.5", "12345678901234.000001", "7.5"]
    assert stored() == alone(CENTS, *(None if number is None else Decimal(number) for number in numbers))


def money(kind: pa.DataType, *values: str, **further: list[Any]) -> pa.Table:
    return pa.table({"x": pa.array(list(map(Decimal, values)), kind), **further})


def test_a_decimal_of_arrow_keeps_the_digits_that_it_declares_and_grows_from_there(project: Path) -> None:
    pipeline = dlt.pipeline("types", destination="duckdb", dataset_name="d")
    grown = []

    for page in (
        money(pa.decimal128(12, 2), "1.50"),
        money(pa.decimal128(9, 4), "0.1234"),
        [{"x": Decimal(12345678901234567890)}],
        [{"x": 10**29}],
        money(pa.decimal128(38, 10), "9999999999999999999999999999.0000000001"),
    ):
        pipeline.run(page, table_name="t")
        grown.append(stored()[0])

    assert [columns.get("x") for columns in grown] == [
        "DECIMAL(12,2)",
        "DECIMAL(14,4)",
        "DECIMAL(24,4)",
        "DECIMAL(34,4)",
        "DECIMAL(34,4)",
    ]
    values = [(Decimal("1.5"), None), (Decimal("0.1234"), None), (Decimal(12345678901234567890), None), (10**29, None)]
    assert stored()[1] == [*values, (None, Decimal("9999999999999999999999999999.0000000001"))]


@pytest.mark.parametrize(
    ("kinds", "type_of_all"),
    [
        ([pa.decimal128(12, 2), pa.decimal128(6, 4)], "DECIMAL(14,4)"),
        ([pa.decimal128(6, 4), pa.decimal128(12, 2)], "DECIMAL(14,4)"),
        ([pa.decimal256(12, 2)], "DECIMAL(12,2)"),
        ([pa.decimal128(2, 2)], "DECIMAL(2,2)"),
        ([pa.decimal128(29, 0)], "DECIMAL(29,0)"),
        ([pa.decimal128(30, 0)], CENTS),  # which has more room to grow behind the point
        ([pa.decimal128(38, 2), pa.decimal128(12, 2)], CENTS),
        ([pa.decimal128(38, 18)], "DECIMAL(38,18)"),
        ([pa.decimal128(12, 2), None], CENTS),
    ],
)
def test_decimals_of_one_load_share_the_digits_that_arrow_declares(
    project: Path, kinds: list[Any], type_of_all: str
) -> None:
    @dlt.resource(name="t")
    def pages() -> Any:
        for kind in kinds:
            yield [{"x": Decimal("0.5")}] if kind is None else money(kind, "0" if kind.scale == 0 else "0.5")

    dlt.pipeline("types", destination="duckdb", dataset_name="d").run(pages)

    assert stored()[0] == {"x": type_of_all}


def test_a_rejected_row_changes_nothing_of_the_digits_that_arrow_declares(project: Path) -> None:
    page = money(pa.decimal128(12, 2), "1.00", "2.25", id=[1, None])
    pipeline = dlt.pipeline("types", destination="duckdb", dataset_name="d")

    pipeline.run(page, table_name="t", columns={"id": {"nullable": False}})

    columns, rows = stored()
    assert columns == {"id": "BIGINT", "x": "DECIMAL(12,2)"}
    assert rows == [(1, Decimal("1.00"))]


def test_a_row_that_a_contract_turns_away_changes_nothing_of_them_either(project: Path) -> None:
    pipeline = dlt.pipeline("types", destination="duckdb", dataset_name="d")
    pipeline.run([{"id": 1}], table_name="t")

    page = money(pa.decimal128(12, 2), "1.00", "2.25", id=["2", "no number"])
    pipeline.run(page, table_name="t", schema_contract={"data_type": "discard_row"})

    assert stored() == ({"id": "BIGINT", "x": "DECIMAL(12,2)"}, [(1, None), (2, Decimal("1.00"))])
