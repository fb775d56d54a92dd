"""The stored schema document: what is written is read again, and what dlt wrote is read, too."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.schema.document import Schema, schema_from_json, schema_to_json
from dlt_orchestrate.schema.table import Column, Table
from dlt_orchestrate.schema.types import ColumnType

_names = st.text("abcdé_", min_size=1, max_size=5)
_keys = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), max_size=3).map(tuple)
_types = st.sampled_from(
    [
        None,
        ColumnType("text"),
        ColumnType("bigint", 8),
        ColumnType("decimal", 38, 0),
        ColumnType("timestamp", timezone=False),
        ColumnType("json"),
    ]
)
_columns = st.builds(
    Column,
    name=st.just(""),
    type=_types,
    nullable=st.booleans(),
    primary_key=st.booleans(),
    description=st.none() | st.text("xy", min_size=1, max_size=3),
    path=_keys,
    hints=st.sampled_from([{}, {"variant": True}, {"unique": True, "row_key": True}]),
)


@st.composite
def schemas(draw) -> Schema:
    tables = {}
    for name in draw(st.lists(_names, unique=True, max_size=4)):
        columns = {
            column: replace(draw(_columns), name=column) for column in draw(st.lists(_names, unique=True, max_size=4))
        }
        parent = draw(st.sampled_from([None, *tables]))
        disposition = draw(st.sampled_from(["append", "replace", "merge"])) if parent is None else "append"
        tables[name] = Table(name, columns, parent=parent, write_disposition=disposition, path=draw(_keys))
    return Schema(
        draw(_names), tables, draw(st.integers(0, 9)), draw(st.sampled_from(["snake_case", "unicode_snake_case"]))
    )


@given(schemas())
def test_a_written_schema_is_read_again(schema) -> None:
    again = schema_from_json(schema_to_json(schema))

    assert again == schema
    assert again.content_hash == schema.content_hash
    assert again.fingerprints() == schema.fingerprints()
    assert [list(table.columns) for table in again.tables.values()] == [
        list(schema.tables[name].columns) for name in again.tables
    ]


def test_the_hash_tells_tables_and_not_versions() -> None:
    schema = Schema("shop", {"t": Table("t", {"id": Column("id", ColumnType("bigint"))})}, version=1)

    assert replace(schema, version=2).content_hash == schema.content_hash
    assert replace(schema, tables={}).content_hash != schema.content_hash


def test_nested_tables_come_parents_first() -> None:
    tables = {
        name: Table(name, {}, parent=parent)
        for name, parent in [("a__b__c", "a__b"), ("a__b", "a"), ("a", None), ("other", None), ("a__d", "a")]
    }

    assert [table.name for table in Schema("s", tables).nested_tables("a")] == ["a__b", "a__d", "a__b__c"]


WRITTEN_BY_DLT = {
    "version": 2,
    "version_hash": "made by hand",
    "engine_version": 11,
    "name": "github",
    "tables": {
        "_dlt_loads": {
            "name": "_dlt_loads",
            "columns": {"load_id": {"name": "load_id", "data_type": "text", "nullable": False, "precision": 64}},
            "write_disposition": "skip",
            "resource": "_dlt_loads",
        },
        "issues": {
            "name": "issues",
            "columns": {
                "id": {"name": "id", "nullable": False, "primary_key": True, "data_type": "bigint"},
                "updated_at": {"name": "updated_at", "incremental": True, "data_type": "timestamp", "nullable": True},
                "price": {"name": "price", "data_type": "decimal", "precision": 10, "scale": 2, "nullable": True},
                "price__v_text": {"name": "price__v_text", "data_type": "text", "nullable": True, "variant": True},
                "never_seen": {"name": "never_seen", "nullable": True},
                "_dlt_load_id": {"name": "_dlt_load_id", "data_type": "text", "nullable": False},
                "_dlt_id": {"name": "_dlt_id", "data_type": "text", "nullable": False, "unique": True, "row_key": True},
            },
            "write_disposition": "merge",
            "resource": "issues",
            "x-normalizer": {"seen-data": True},
        },
        "issues__labels": {
            "name": "issues__labels",
            "columns": {"name": {"name": "name", "data_type": "text", "nullable": True}},
            "parent": "issues",
        },
    },
    "settings": {"detections": ["iso_timestamp"], "default_hints": {"not_null": ["_dlt_id"]}},
    "normalizers": {"names": "snake_case", "json": {"module": "dlt.common.normalizers.json.relational"}},
    "previous_hashes": ["an older one"],
}


def test_a_schema_that_dlt_wrote_is_read() -> None:
    schema = schema_from_json(json.dumps(WRITTEN_BY_DLT))

    issues = schema.tables["issues"]
    assert (schema.name, schema.version, schema.naming) == ("github", 2, "snake_case")
    assert (issues.write_disposition, issues.resource, issues.parent) == ("merge", "issues", None)
    assert issues.columns["id"] == Column("id", ColumnType("bigint"), nullable=False, primary_key=True)
    assert issues.columns["price"].type == ColumnType("decimal", 10, 2)
    assert issues.columns["price__v_text"].hints == {"variant": True}
    assert issues.columns["never_seen"].type is None
    assert [table.name for table in schema.nested_tables("issues")] == ["issues__labels"]


def test_a_naming_convention_named_by_its_module_is_known_by_its_last_word() -> None:
    written = WRITTEN_BY_DLT | {"normalizers": {"names": "dlt.common.normalizers.names.snake_case"}}

    assert schema_from_json(json.dumps(written)).naming == "snake_case"
