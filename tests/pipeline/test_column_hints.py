"""What hints make of columns: types that hold their values whole, descriptions, and what is kept for the schema alone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed


@pytest.fixture
def pipeline(project: Path) -> Any:
    return dlt.pipeline("hinted", destination="duckdb", dataset_name="d")


def load(pipeline: Any, values: list[Any], **hint: Any) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Load values of a column `x`; gives the columns made for it with their types, and all rows."""
    pipeline.run([{"x": value} for value in values], table_name="t", columns={"x": hint} if hint else None)
    with duckdb.connect("hinted.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(
            "select * exclude (_dlt_id, _dlt_load_id) from d.t order by _dlt_load_id, _dlt_id"
        ).to_arrow_table()
        types = connection.execute(
            "select column_name, data_type from duckdb_columns() where table_name = 't' order by column_index"
        ).fetchall()
    return {k: v for k, v in types if not k.startswith("_dlt")}, [tuple(row.values()) for row in found.to_pylist()]


@pytest.mark.parametrize(("bits", "kind"), [(8, "TINYINT"), (16, "SMALLINT"), (32, "INTEGER")])
def test_the_precision_of_an_integer_is_its_bits_and_what_is_greater_stands_beside(
    pipeline: Any, bits: int, kind: str
) -> None:
    least, greatest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    found = load(pipeline, [least, greatest, greatest + 1, "5"], data_type="bigint", precision=bits)

    assert found == (
        {"x": kind, "x__v_bigint": "BIGINT"},
        [(least, None), (greatest, None), (None, greatest + 1), (5, None)],
    )


def test_an_integer_column_takes_the_wider_of_the_stored_and_the_hinted_size(pipeline: Any) -> None:
    assert load(pipeline, [1], data_type="bigint", precision=8)[0] == {"x": "TINYINT"}
    assert load(pipeline, [300], data_type="bigint", precision=16)[0] == {"x": "SMALLINT"}
    assert load(pipeline, [2], data_type="bigint", precision=8)[0] == {"x": "SMALLINT"}
    assert load(pipeline, [2**40]) == ({"x": "BIGINT"}, [(1,), (300,), (2,), (2**40,)])


def test_a_decimal_holds_what_its_digits_tell_exactly_and_grows_with_its_hint(pipeline: Any) -> None:
    money = {"data_type": "decimal", "precision": 10, "scale": 2}

    columns, rows = load(pipeline, [1.25, "1.255", Decimal(100000000), 3], **money)

    assert columns == {"x": "DECIMAL(10,2)", "x__v_text": "VARCHAR", "x__v_decimal": "DECIMAL(38,9)"}
    assert rows == [
        (Decimal("1.25"), None, None),
        (None, "1.255", None),
        (None, None, Decimal(100000000)),
        (Decimal("3.00"), None, None),
    ]
    columns, rows = load(pipeline, ["1.2550"], data_type="decimal", precision=12, scale=4)
    assert (columns["x"], rows[0][0], rows[-1][0]) == ("DECIMAL(12,4)", Decimal("1.2500"), Decimal("1.2550"))


def test_texts_are_never_cut_to_their_precision(pipeline: Any) -> None:
    found = load(pipeline, ["four", "much longer"], data_type="text", precision=4)

    assert found == ({"x": "VARCHAR"}, [("four",), ("much longer",)])


def test_moments_keep_their_microseconds_whatever_their_precision(pipeline: Any) -> None:
    columns, rows = load(pipeline, ["2026-01-01T00:00:00.123456Z"], data_type="timestamp", precision=3)

    assert columns == {"x": "TIMESTAMP WITH TIME ZONE"}
    assert rows[0][0].astimezone(UTC) == datetime(2026, 1, 1, microsecond=123_456, tzinfo=UTC)


def test_timezone_false_makes_moments_of_utc_without_a_zone(pipeline: Any) -> None:
    values = ["2026-01-01T00:00:00+02:00", datetime(2026, 1, 1), "2026-01-01"]

    found = load(pipeline, values, data_type="timestamp", timezone=False)

    assert found == ({"x": "TIMESTAMP"}, [(datetime(2025, 12, 31, 22),), *[(datetime(2026, 1, 1),)] * 2])
    with pytest.raises(PipelineStepFailed, match="stored as timestamp without time zone, and the hint asks for timestamp"):
        load(pipeline, ["2026-01-01T00:00:00Z"], data_type="timestamp")


def test_wei_takes_whole_numbers_of_38_digits_also_in_hexadecimal(pipeline: Any) -> None:
    columns, rows = load(pipeline, ["0xff", "0x0", 2**100, "12", "0xZZ", 10**38], data_type="wei")

    assert columns == {"x": "DECIMAL(38,0)", "x__v_text": "VARCHAR"}
    assert rows == [
        *((Decimal(number), None) for number in (255, 0, 2**100, 12)),
        (None, "0xZZ"),
        (None, str(10**38)),
    ]


def test_descriptions_become_comments_and_change_with_their_hints(pipeline: Any) -> None:
    @dlt.resource(columns={"id": {"description": "the shop's own number"}})
    def orders() -> Any:
        """What was sold."""
        yield {"id": 1}

    pipeline.run(orders())
    pipeline.run(orders().apply_hints(columns={"id": {"description": "a number"}, "at": {"description": "when"}}))

    assert comments() == {"orders": "What was sold.", "id": "a number"}
    pipeline.run([{"id": 2, "at": 5}], table_name="orders", columns={"at": {"description": 'when; "it\'s" final'}})
    assert comments()["at"] == 'when; "it\'s" final'
    assert comments()["id"] == "a number"


def comments() -> dict[str, str]:
    with duckdb.connect("hinted.duckdb") as connection:
        return dict(
            connection.execute(
                "select table_name, comment from duckdb_tables() where comment is not null union all "
                "select column_name, comment from duckdb_columns() where comment is not null"
            ).fetchall()
        )


def test_hints_that_duckdb_has_no_use_for_are_kept_in_the_schema(pipeline: Any) -> None:
    hints = {"unique": True, "sort": True, "partition": True, "cluster": True, "row_key": True, "x-team": "sales"}

    load(pipeline, [1, 1], **hints)
    load(pipeline, [1])

    assert dict(pipeline.default_schema.tables["t"].columns["x"].hints) == hints
    with duckdb.connect("hinted.duckdb") as connection:
        assert connection.sql("select count(*) from duckdb_indexes()").fetchall() == [(0,)]


# --- integers beyond 64 bits -------------------------------------------------------------------------------------


def test_integers_beyond_64_bits_are_keys_and_cursors_like_any_other(pipeline: Any) -> None:
    @dlt.resource(primary_key="id", write_disposition="merge")
    def blocks(rows: Any, height: Any = dlt.sources.incremental("height", initial_value=0)) -> Any:
        yield rows

    pipeline.run(blocks([{"id": 2**64, "height": 2**63 - 1, "n": 1}, {"id": 1, "height": 5, "n": 1}]))
    pipeline.run(blocks([{"id": 2**64, "height": 2**64, "n": 2}, {"id": 10**38 - 1, "height": 10**38 - 1, "n": 3}]))
    info = pipeline.run(blocks([{"id": 9, "height": 2**70, "n": 9}, {"id": 10**38 - 1, "height": 10**38 - 1, "n": 4}]))

    assert info.resources["blocks"].cursor_after == 10**38 - 1
    found = pipeline.dataset()("select id, height, n from blocks order by id").fetchall()
    assert [(int(key), int(height), n) for key, height, n in found] == [
        (1, 5, 1),
        (2**64, 2**64, 2),
        (10**38 - 1, 10**38 - 1, 4),
    ]


def test_integers_in_lists_keep_every_digit(pipeline: Any) -> None:
    numbers = [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**38 - 1, -(10**38) + 1, 10**38]

    pipeline.run([{"numbers": numbers}], table_name="t")

    found = pipeline.dataset()("select * from t__numbers order by _dlt_list_idx").arrow().to_pylist()
    assert [int(row["value"] if row["value"] is not None else row["value__v_text"]) for row in found] == numbers
    assert found[-1]["value__v_text"] == str(10**38)
