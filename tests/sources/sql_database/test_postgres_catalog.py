"""Tables of PostgreSQL that are read without SQLAlchemy are what they are through SQLAlchemy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import postgres_server
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.sql_database import sql_table

SCHEMA = """
    CREATE SCHEMA shop;
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE TYPE shop.mood AS ENUM ('so', 'so so');
    CREATE DOMAIN cents AS numeric(8, 2);
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE plain (
        small int2 NOT NULL, id bigint, whole int, price numeric(12,2), amount numeric, huge numeric(50,2),
        shifted numeric(2,5), round numeric(5), r float4, d float8, ok bool, t text, v varchar, v20 varchar(20) UNIQUE,
        c char(3), one char, ts timestamp, ts3 timestamp(3), tz timestamptz NOT NULL, tz0 timestamptz(0), day date,
        clock time, clock3 time(3), zoned timetz, span interval, j json, jb jsonb, u uuid, raw bytea, ints int[],
        texts text[][], amounts numeric(9,2)[], names varchar(9)[], days date[], moments timestamptz[], host inet,
        feeling mood, other shop.mood, "a ""b"" %s" int,
        PRIMARY KEY (id, small), UNIQUE (whole, price)
    );
    COMMENT ON COLUMN plain.t IS 'It''s a text.';
    COMMENT ON COLUMN plain.v IS '';
    CREATE UNIQUE INDEX ON plain (d);
    INSERT INTO plain VALUES (
        2, 1, 3, 1.50, 1.23456789, 12345678901234567890.12, 0.00012, 12345, 1.5, 2.5, true, 'x', 'v', 'v', 'c', 'o',
        '2024-01-02 03:04:05.123456', '2024-01-02 03:04:05.123', '2024-01-02 03:04:05+02', '2024-01-02 03:04:05+02',
        '2024-01-02', '03:04:05.5', '03:04:05.123', '03:04+02', '1 day 2 hours', '{"a": 1.10}', '{"b": [1]}',
        '00000000-0000-0000-0000-00000000000a', '\\x00ff', '{1,NULL}', '{{a,"b,c"}}', '{1.10}', '{n}', '{2024-01-01}',
        '{2024-01-01 00:00+01}', '10.0.0.1', 'sad', 'so so', 4
    );
    INSERT INTO plain (id, small, tz) VALUES (2, -1, '2024-01-02 03:04:05+02');
    CREATE TABLE odd (
        id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (3) STORED, fee cents NOT NULL, bits bit(3),
        o oid, cash money, two pair, fees cents[], moods mood[], span interval day to second(3), box box, n numeric(3,-2)
    );
    INSERT INTO odd (fee, bits, o, cash, two, fees, moods, span, n) VALUES
        (7.25, '101', 4294967295, 12.5, '(1,x)', '{1.5}', '{sad}', '1 day', 1200);
    CREATE TABLE shop."Order lines" (id int PRIMARY KEY, "Id" text);
    INSERT INTO shop."Order lines" VALUES (1, 'a');
    CREATE TABLE parts (id int NOT NULL, day date NOT NULL, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
    CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    INSERT INTO parts VALUES (1, '2024-02-03');
    CREATE TABLE heirs (more text) INHERITS (shop."Order lines");
    INSERT INTO heirs VALUES (2, 'b', 'm');
    CREATE VIEW seen AS SELECT id, t, price, price * 2 AS doubled, 'x' AS letter FROM plain;
    CREATE MATERIALIZED VIEW kept AS SELECT id, jb FROM plain;
    CREATE TABLE changed (id int, gone text, kept text);
    ALTER TABLE changed DROP COLUMN gone;
    INSERT INTO changed VALUES (1, 'k');
    CREATE TABLE empty (id int PRIMARY KEY, t text)
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server.fresh_database() as found:
        for statement in SCHEMA.split(";\n"):
            postgres_server.execute(found, statement)
        yield found


def as_loaded(pipeline: dlt.Pipeline, table: str) -> tuple[Any, ...]:
    """The columns that a table of the dataset has in the schema, and its rows, without system columns."""
    columns = [
        (column.name, column.type, column.nullable, column.primary_key, column.hints, column.description)
        for column in pipeline.default_schema.tables[table].columns.values()
        if not column.name.startswith("_dlt")
    ]
    rows = pipeline.dataset().query(f'SELECT * FROM "{table}" ORDER BY ALL').arrow()
    return columns, rows.select([name for name in rows.column_names if not name.startswith("_dlt")]).to_pylist()


@pytest.mark.parametrize("level", ["full", "full_with_precision", "minimal"])
@pytest.mark.parametrize(
    ("table", "schema"),
    [
        ("plain", None), ("plain", "public"), ("odd", None), ("Order lines", "shop"), ("parts", None), ("heirs", None),
        ("seen", None), ("kept", None), ("changed", None), ("empty", None),
    ],
)  # fmt: skip
def test_a_table_is_the_same_without_sqlalchemy_and_with_it(
    pipeline: dlt.Pipeline, url: str, table: str, schema: str | None, level: Any
) -> None:
    arguments: dict[str, Any] = {"schema": schema, "reflection_level": level}

    pipeline.run(sql_table(url, table, **arguments).with_name("without"))
    pipeline.run(sql_table(url, table, **arguments, engine_adapter_callback=lambda engine: engine).with_name("through"))

    assert as_loaded(pipeline, "without") == as_loaded(pipeline, "through")


def test_chosen_columns_are_the_same_without_sqlalchemy_and_with_it(pipeline: dlt.Pipeline, url: str) -> None:
    for chosen in ({"included_columns": ["id", "t*"]}, {"excluded_columns": ["id"]}):
        arguments: Any = {**chosen, "write_disposition": "replace"}
        pipeline.run(sql_table(url, "plain", **arguments).with_name("without"))
        pipeline.run(
            sql_table(url, "plain", **arguments, table_adapter_callback=lambda table: table).with_name("through"),
        )

        assert as_loaded(pipeline, "without") == as_loaded(pipeline, "through")


READ = """
import json, sys
import dlt_orchestrate as dlt
from dlt_orchestrate.sources.sql_database import sql_table

pipeline = dlt.pipeline("reading", destination="duckdb", dataset_name="copy")
for table in sys.argv[2:]:
    pipeline.run(sql_table(sys.argv[1], table))
    print(json.dumps([table, pipeline.dataset()[table].select("id").fetchall(), "sqlalchemy" in sys.modules]))
"""


def test_only_a_table_with_types_of_its_own_takes_the_import_of_sqlalchemy(run_script: Any, url: str) -> None:
    printed = run_script(READ, url, "kept", "plain", "empty", "odd").stdout.splitlines()

    assert [json.loads(line) for line in printed[-4:]] == [
        ["kept", [[1], [2]], False], ["plain", [[1], [2]], False], ["empty", [], False], ["odd", [[1]], True],
    ]  # fmt: skip
