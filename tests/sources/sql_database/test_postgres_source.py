"""Tables of a real PostgreSQL server: their types, keys and comments, what is selected, one state of all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import postgres_server
import pytest
import sqlalchemy as sa

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed
from dlt_orchestrate.sources.sql_database import find_key_ranges, sql_database, sql_table
from dlt_orchestrate.state.commits import Window

TYPES = """
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE DOMAIN cents AS numeric(8, 2);
    CREATE TABLE every_type (
        id bigint PRIMARY KEY, small int2 NOT NULL, price numeric(12,2), amount numeric, big numeric(38,10), r float4,
        d float8, ok bool, t text, v varchar(20) UNIQUE, c char(3), ts timestamp, tz timestamptz, day date, clock time,
        zoned timetz, span interval, j json, jb jsonb, u uuid, raw bytea, ints int[], texts text[], feeling mood, host inet,
        cash money, o oid, bits bit(3), fee cents, nothing text, no_price numeric(9,4)
    );
    COMMENT ON COLUMN every_type.t IS 'A text.';
    INSERT INTO every_type VALUES (
        1, 2, 1.50, 1.23456789, 1234567890.0123456789, 1.5, 2.5, true, 'x', 'v', 'c', '2024-01-02 03:04:05.123456',
        '2024-01-02 03:04:05+02', '2024-01-02', '03:04:05.5', '03:04+02', '1 day 2 hours', '{"a": 1.10}',
        '{"b": [1]}', '00000000-0000-0000-0000-00000000000a', '\\x00ff', '{1,NULL}', '{a,"b,c"}', 'sad', '10.0.0.1',
        12.5, 4294967295, '101', 7.25
    );
    INSERT INTO every_type (id, small) VALUES (2, -1)
"""


def run(url: str, script: str) -> None:
    for statement in script.split(";\n"):
        postgres_server.execute(url, statement)


def test_every_type_arrives_with_its_value(
    postgres_url: str,
    pipeline: dlt.Pipeline,
    stored: Callable[..., list[dict[str, Any]]],
    column_types: Callable[[str], dict[str, str]],
) -> None:
    run(postgres_url, TYPES)

    pipeline.run(sql_table(postgres_url, "every_type"))

    full, empty = stored("every_type")
    assert full.pop("amount") == Decimal("1.234567890")
    assert full.pop("cash") == Decimal("12.500000000")
    assert {key: full.pop(key) for key in ("j", "jb", "ints", "texts")} == {
        "j": '{"a": 1.10}', "jb": '{"b": [1]}', "ints": "[1,null]", "texts": '["a","b,c"]',
    }  # fmt: skip
    assert full == {
        "id": 1, "small": 2, "price": Decimal("1.50"), "big": Decimal("1234567890.0123456789"), "r": 1.5, "d": 2.5,
        "ok": True, "t": "x", "v": "v", "c": "c  ", "ts": datetime(2024, 1, 2, 3, 4, 5, 123456),
        "tz": datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC), "day": date(2024, 1, 2), "clock": time(3, 4, 5, 500000),
        "zoned": "03:04:00+02", "span": "P1DT2H", "u": "00000000-0000-0000-0000-00000000000a", "raw": b"\x00\xff",
        "feeling": "sad", "host": "10.0.0.1", "o": 4294967295, "bits": "101", "fee": Decimal("7.25"), "nothing": None,
        "no_price": None,
    }  # fmt: skip
    assert {key: value for key, value in empty.items() if value is not None} == {"id": 2, "small": -1}
    types = column_types("every_type")
    assert {name: types[name] for name in ("price", "big", "no_price", "ts", "tz", "ints", "jb", "u", "nothing")} == {
        "price": "decimal(12,2)", "big": "decimal(38,10)", "no_price": "decimal(9,4)",
        "ts": "timestamp without time zone", "tz": "timestamp", "ints": "json", "jb": "json", "u": "text",
        "nothing": "text",
    }  # fmt: skip
    columns = pipeline.default_schema.tables["every_type"].columns
    assert [name for name, column in columns.items() if column.primary_key] == ["id"]
    assert [name for name, column in columns.items() if not column.nullable and not name.startswith("_dlt")] == [
        "id",
        "small",
    ]
    assert columns["v"].hints == {"unique": True}
    assert columns["t"].description == "A text."


def test_moments_without_end_and_numbers_that_are_none_are_told_beside_their_column(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(
        postgres_url,
        "CREATE TABLE odd (id int, ts timestamp, day date, n numeric(5,2));\n"
        "INSERT INTO odd VALUES (1, 'infinity', '-infinity', 'NaN'), (2, '2024-01-01', '2024-01-02', 1.25)",
    )

    pipeline.run(sql_table(postgres_url, "odd"))

    assert stored("odd") == [
        {
            "id": 1, "ts": None, "day": None, "n": None, "ts__v_text": "infinity", "day__v_text": "-infinity",
            "n__v_text": "NaN",
        },
        {
            "id": 2, "ts": datetime(2024, 1, 1), "day": date(2024, 1, 2), "n": Decimal("1.25"), "ts__v_text": None,
            "day__v_text": None, "n__v_text": None,
        },
    ]  # fmt: skip


def test_a_numeric_without_precision_whose_first_values_are_none_stays_a_number_where_a_hint_says_so(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(postgres_url, "CREATE TABLE rates (id int, rate numeric);\nINSERT INTO rates VALUES (1, 'NaN'), (2, 1.5)")
    hinted = sql_table(postgres_url, "rates").with_name("hinted")
    hinted.apply_hints(columns={"rate": {"data_type": "decimal", "precision": 38, "scale": 9}})

    pipeline.run([sql_table(postgres_url, "rates"), hinted])

    assert stored("rates") == [{"id": 1, "rate": "NaN"}, {"id": 2, "rate": "1.5"}]
    assert stored("hinted") == [
        {"id": 1, "rate": None, "rate__v_text": "NaN"},
        {"id": 2, "rate": Decimal("1.5"), "rate__v_text": None},
    ]


def test_a_moment_that_is_none_in_a_column_without_nulls_is_told_beside_it(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(
        postgres_url,
        "CREATE TABLE strict (id int, ts timestamp NOT NULL, n numeric(9,2) NOT NULL, clock time NOT NULL);\n"
        "INSERT INTO strict VALUES (1, 'infinity', 'NaN', '24:00'), (2, '2024-01-01', 1.25, '23:59:59')",
    )

    pipeline.run(sql_table(postgres_url, "strict"))

    first, second = stored("strict")
    assert {key: value for key, value in first.items() if value is not None} == {
        "id": 1, "ts__v_text": "infinity", "n__v_text": "NaN", "clock__v_text": "24:00:00",
    }  # fmt: skip
    assert {key: value for key, value in second.items() if value is not None} == {
        "id": 2, "ts": datetime(2024, 1, 1), "n": Decimal("1.25"), "clock": time(23, 59, 59),
    }  # fmt: skip


@pytest.mark.parametrize("backend", ["arrow", "sqlalchemy"])
def test_names_that_mean_something_elsewhere_are_names(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]], backend: Any
) -> None:
    table = f"%s of {backend}"
    names = ["select", "order", "a%b", "%s", "a:b", 'q"q', "it's", "ä", "id", "Id"]
    columns = ", ".join('"' + name.replace('"', '""') + '" int' for name in names)
    run(postgres_url, f'CREATE TABLE "{table}" ({columns});\nINSERT INTO "{table}" VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)')

    pipeline.run(sql_table(postgres_url, table, backend=backend).with_name("named"))

    (row,) = stored("named")
    assert sorted(row.values()) == list(range(1, 11))


def test_numbers_in_json_that_python_does_not_have_stay_as_they_are_written(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(
        postgres_url,
        "CREATE TABLE big_json (id int, j jsonb);\nINSERT INTO big_json VALUES (1, '{\"n\": 1e400}'), (2, '[1]')",
    )

    pipeline.run(sql_table(postgres_url, "big_json", backend="sqlalchemy"))

    first, second = stored("big_json")
    assert (json.loads(first["j"], parse_float=Decimal), json.loads(second["j"])) == ({"n": Decimal("1e400")}, [1])


def test_a_table_without_columns_is_told(postgres_url: str, pipeline: dlt.Pipeline) -> None:
    run(postgres_url, "CREATE TABLE bare ()")

    with pytest.raises(PipelineStepFailed, match="Table 'bare': it has no columns"):
        pipeline.run(sql_table(postgres_url, "bare"))


def test_a_table_that_is_merged_without_a_key_is_appended_with_a_warning(postgres_url: str, pipeline: dlt.Pipeline) -> None:
    run(postgres_url, "CREATE TABLE keyless (v int);\nINSERT INTO keyless VALUES (1)")

    info = pipeline.run(sql_table(postgres_url, "keyless", write_disposition="merge"))

    (warning,) = info.resources["keyless"].warnings
    assert "Table 'keyless': it is merged, and has neither a primary key nor a merge key" in warning


def test_columns_that_are_generated_and_keys_of_several_columns(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(
        postgres_url,
        "CREATE TABLE made (a int, b text, twice int GENERATED ALWAYS AS (a * 2) STORED, "
        "n int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (b, a));\nINSERT INTO made (a, b) VALUES (1, 'x'), (1, 'y')",
    )
    source = sql_database(postgres_url, table_names=["made"], write_disposition="merge")

    for _ in range(2):
        pipeline.run(source)

    assert stored("made", order_by="b") == [{"a": 1, "b": "x", "twice": 2, "n": 1}, {"a": 1, "b": "y", "twice": 2, "n": 2}]


@pytest.mark.parametrize("backend", ["arrow", "sqlalchemy"])
def test_days_before_the_first_year_and_behind_the_last_are_told_beside_also_next_to_infinity(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]], backend: Any
) -> None:
    run(
        postgres_url,
        "DROP TABLE IF EXISTS ancient;\nCREATE TABLE ancient (id int, day date, at timestamp);\n"
        "INSERT INTO ancient VALUES (1, '0044-03-15 BC', 'infinity'), "
        "(2, '10001-01-01', '0044-03-15 BC'), (3, 'infinity', NULL)",
    )

    pipeline.run(sql_table(postgres_url, "ancient", backend=backend))

    assert [(row["day__v_text"], row["at__v_text"]) for row in stored("ancient")] == [
        ("-735160 days since 1970", "infinity"),
        ("2933263 days since 1970", "-63517824000000000 us since 1970"),
        ("infinity", None),
    ]


@pytest.mark.parametrize("backend", ["arrow", "sqlalchemy"])
def test_the_last_years_that_the_server_has_are_told_beside_also_next_to_infinity(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]], backend: Any
) -> None:
    run(
        postgres_url,
        "DROP TABLE IF EXISTS late;\nCREATE TABLE late (id int, day date, at timestamp, zoned timestamptz);\n"
        "INSERT INTO late VALUES (1, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 00:00+00'), "
        "(2, 'infinity', 'infinity', 'infinity'), (3, '-infinity', '-infinity', '-infinity'), "
        "(4, '2026-01-01', '2026-01-01', '2026-01-01 00:00+00'), (5, NULL, NULL, NULL)",
    )

    pipeline.run(sql_table(postgres_url, "late", backend=backend))

    rows = stored("late", order_by="id")
    assert [(row["day__v_text"], row["at__v_text"], row["zoned__v_text"]) for row in rows] == [
        ("2145042905 days since 1970", "9224318015999999999 us since 1970", "9224317929600000000 us since 1970"),
        ("infinity", "infinity", "infinity"),
        ("-infinity", "-infinity", "-infinity"),
        (None, None, None),
        (None, None, None),
    ]
    assert [row["day"] for row in rows if row["day"]] == [date(2026, 1, 1)]


def test_patterns_names_and_views_choose_the_tables(postgres_url: str, pipeline: dlt.Pipeline) -> None:
    run(
        postgres_url,
        'CREATE SCHEMA shop;\nCREATE TABLE shop.orders (id int PRIMARY KEY);\nCREATE TABLE shop."order lines" (id int);\n'
        "CREATE TABLE shop.orders_tmp (id int);\nCREATE TABLE shop.users (id int);\n"
        "CREATE VIEW shop.order_view AS SELECT 1 AS one;\nCREATE MATERIALIZED VIEW shop.order_facts AS SELECT 2 AS two",
    )

    def names(**arguments: Any) -> list[str]:
        return list(sql_database(postgres_url, schema="shop", **arguments).resources)

    assert names() == ["order lines", "orders", "orders_tmp", "users"]
    assert names(include_views=True, exclude=["*_tmp"]) == ["order lines", "order_facts", "order_view", "orders", "users"]
    assert names(table_names=["users", "orders*"], exclude=["*_tmp"]) == ["users", "orders"]
    with pytest.raises(DeclarationError, match=r"no table matches 'shop_\*' in schema 'shop' of postgresql://127"):
        names(table_names=["shop_*"])
    pipeline.run(sql_database(postgres_url, schema="shop", table_names=["order lines", "order_view"]))
    assert pipeline.dataset().order_view.fetchall()[0][0] == 1
    assert {"order_lines", "order_view"} <= set(pipeline.default_schema.tables)  # the first is there though it is empty


def test_what_is_left_out_and_is_not_there_is_told(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    run(
        postgres_url,
        "CREATE SCHEMA left_out;\nCREATE TABLE left_out.orders (id int);\nCREATE TABLE left_out.secrets (id int);\n"
        "CREATE VIEW left_out.seen AS SELECT 1 AS one",
    )

    def names(**arguments: Any) -> list[str]:
        return list(sql_database(postgres_url, schema="left_out", **arguments).resources)

    with pytest.raises(DeclarationError, match=r"exclude names 'secrts', and .* Did you mean 'secrets'\?"):
        names(exclude=["secrts"])
    with pytest.raises(DeclarationError, match=r"exclude names 'secrts', and .* Did you mean 'secrets'\?"):
        names(table_names=["orders", "secrets"], exclude=["secrts"])
    assert names(exclude=["secrets", "seen", "tmp_*"]) == ["orders"]
    assert "exclude='tmp_*' matches no table in schema 'left_out' of postgresql://" in caplog.text


def test_columns_are_chosen_and_callbacks_change_table_type_and_query(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(
        postgres_url,
        "CREATE TABLE wide (id int PRIMARY KEY, a numeric(5,2), secret text, b text);\n"
        "INSERT INTO wide SELECT n, n, 's', 'b' || n FROM generate_series(1, 5) n",
    )
    seen: list[Any] = []

    def query(query: Any, table: sa.Table, cursor: Any, engine: sa.Engine) -> Any:
        seen.append((table.name, cursor, engine.dialect.name))
        return query.where(table.c.id > 3)

    pipeline.run(
        sql_table(
            postgres_url,
            "wide",
            excluded_columns=["secret"],
            type_adapter_callback=lambda kind: sa.Double() if isinstance(kind, sa.Numeric) else kind,
            query_adapter_callback=query,
        )
    )

    assert stored("wide") == [{"id": 4, "a": 4.0, "b": "b4"}, {"id": 5, "a": 5.0, "b": "b5"}]
    assert seen == [("wide", None, "postgresql")]
    with pytest.raises(Exception, match=r"included_columns names 'ids', which is none of its columns. Did you mean 'id'\?"):
        pipeline.run(sql_table(postgres_url, "wide", included_columns=["ids"]))


def test_a_query_of_ones_own_may_be_text(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(postgres_url, "CREATE TABLE sold (id int, city text);\nINSERT INTO sold VALUES (1, '100%'), (2, 'Ulm'), (3, 'Ulm')")
    per_city = "SELECT count(*) AS id, city, sum(id)::numeric AS total FROM sold WHERE city NOT LIKE '100%' GROUP BY city"
    bound = sa.text("SELECT id, city FROM sold WHERE city = :city").bindparams(city="100%")

    pipeline.run(sql_table(postgres_url, "sold", query_adapter_callback=lambda query, table: per_city))
    pipeline.run(sql_table(postgres_url, "sold", query_adapter_callback=lambda query, table: bound).with_name("percent"))

    assert stored("sold") == [{"id": 2, "city": "Ulm", "total": Decimal("5.000000000")}]
    assert stored("percent") == [{"id": 1, "city": "100%"}]


@pytest.mark.parametrize("backend", ["sqlalchemy", "pandas", "pyarrow"])
def test_the_backend_says_what_steps_are_given(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]], backend: Any
) -> None:
    table = f"of_{backend}"
    run(
        postgres_url,
        f"CREATE TABLE {table} (id int, n numeric(9,2), j jsonb);\n"
        f"INSERT INTO {table} VALUES (1, 0.10, '[1]'), (2, NULL, NULL)",
    )
    given: list[str] = []
    resource = sql_table(postgres_url, table, backend=backend)

    pipeline.run(resource.add_map(lambda item: (given.append(type(item).__name__), item)[1]))

    expected = {"sqlalchemy": ["dict", "dict"], "pandas": ["DataFrame"], "pyarrow": ["Table"]}
    assert given == expected[backend]
    first, second = stored(table)
    assert (first["id"], first["n"], json.loads(first["j"])) == (1, Decimal("0.10"), [1])
    assert second == {"id": 2, "n": None, "j": None}


def test_what_the_resource_declares_goes_before_what_the_database_says(
    postgres_url: str, pipeline: dlt.Pipeline, column_types: Callable[[str], dict[str, str]]
) -> None:
    run(postgres_url, "CREATE TABLE own (id int PRIMARY KEY, code int NOT NULL, n int);\nINSERT INTO own VALUES (1, 7, 3)")
    resource = sql_table(postgres_url, "own", write_disposition="merge", primary_key="code")

    pipeline.run(resource.apply_hints(columns={"n": {"data_type": "double"}, "id": {"nullable": True}}))
    postgres_server.execute(postgres_url, "UPDATE own SET id = 2, n = 4")
    pipeline.run(resource)

    assert pipeline.dataset().own.select("id", "code", "n").fetchall() == [(2, 7, 4.0)]
    columns = pipeline.default_schema.tables["own"].columns
    assert [name for name, column in columns.items() if column.primary_key] == ["code"]
    assert columns["id"].nullable
    assert column_types("own")["n"] == "double"


def test_a_merge_takes_the_key_of_the_table(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(postgres_url, "CREATE TABLE merged (id int PRIMARY KEY, v text);\nINSERT INTO merged VALUES (1, 'a'), (2, 'b')")
    source = sql_database(postgres_url, table_names=["merged"], write_disposition="merge")

    pipeline.run(source)
    postgres_server.execute(postgres_url, "UPDATE merged SET v = 'c' WHERE id = 2")
    pipeline.run(source)

    assert stored("merged") == [{"id": 1, "v": "a"}, {"id": 2, "v": "c"}]


def test_tables_asked_for_at_once_are_known_before_a_run(postgres_url: str) -> None:
    run(
        postgres_url,
        "CREATE TABLE parents (id int PRIMARY KEY);\n"
        "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents, note varchar(9))",
    )

    source = sql_database(
        postgres_url,
        table_names=["parents", "children"],
        defer_table_reflect=False,
        reflection_level="full_with_precision",
        resolve_foreign_keys=True,
    )

    children = source.resources["children"]
    assert children.primary_key == ("id",)
    assert children.columns["note"] == {"data_type": "text", "precision": 9, "type_gives_way": True}
    assert children.declared.references == [
        {"columns": ["parent"], "referenced_table": "parents", "referenced_columns": ["id"]}
    ]
    assert sql_table(postgres_url, "parents", defer_table_reflect=False).primary_key == ("id",)


def test_a_snapshot_shows_all_tables_as_they_were_at_one_moment(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    run(
        postgres_url,
        "CREATE TABLE first (id int);\nCREATE TABLE second (id int);\nINSERT INTO first VALUES (1);\n"
        "INSERT INTO second VALUES (1)",
    )
    source = sql_database(postgres_url, table_names=["first", "second"], snapshot=True)

    def write_meanwhile(table: Any) -> Any:
        run(postgres_url, "INSERT INTO first VALUES (2);\nINSERT INTO second VALUES (2)")
        return table

    source.first.add_map(write_meanwhile)
    pipeline.run(source)

    assert (stored("first"), stored("second")) == ([{"id": 1}], [{"id": 1}])
    pipeline.run(sql_database(postgres_url, table_names=["second"], write_disposition="replace"))
    assert stored("second") == [{"id": 1}, {"id": 2}]


def test_many_rows_come_in_chunks_of_the_size_that_is_asked_for(postgres_url: str) -> None:
    run(postgres_url, "CREATE TABLE many AS SELECT n AS id FROM generate_series(1, 2500) n")

    chunks = [chunk.num_rows for chunk in sql_table(postgres_url, "many", chunk_size=1000)]

    assert chunks == [1000, 1000, 500]


@pytest.mark.parametrize("backend", ["arrow", "sqlalchemy"])
def test_numbers_in_json_stay_what_they_are_beside_a_value_that_no_arrow_type_holds(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]], backend: Any
) -> None:
    for statement in (
        f"CREATE TABLE exact_{backend} (id int, js jsonb, day date)",
        f"""INSERT INTO exact_{backend} VALUES (1, '{{"n": 12345678901234567890123}}', 'infinity')""",
    ):
        postgres_server.execute(postgres_url, statement)

    pipeline.run(sql_table(postgres_url, f"exact_{backend}", backend=backend))

    (row,) = stored(f"exact_{backend}")
    assert json.loads(row["js"]) == {"n": 12345678901234567890123}


def test_rows_without_a_key_have_a_partition_of_their_own_beside_its_ranges(
    postgres_url: str, caplog: pytest.LogCaptureFixture, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    postgres_server.execute(
        postgres_url,
        "CREATE TABLE loose AS SELECT * FROM (VALUES (1, 'a'), (25, 'b'), (NULL, 'c'), (NULL, 'd')) AS v (id, name)",
    )
    keys = find_key_ranges(postgres_url, "loose", "id", 10)

    for key in (*keys, "null"):
        pipeline.run(sql_table(postgres_url, "loose", split_by="id"), window=Window(keys=(("part", key),)))

    assert keys == ["0..10", "10..20", "20..30", "null"]
    assert [row["name"] for row in stored("loose", order_by="name")] == ["a", "b", "c", "d"]
    told = "Table 'loose': it has rows without 'id', which are in none of its ranges. The partition 'null' reads them"
    assert caplog.text.count(told) == 1
