"""The stored schema document: what is written is read again, and what dlt wrote is read, too."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
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
        draw(_names),
        tables,
        draw(st.integers(0, 9)),
        draw(st.sampled_from(["snake_case", "unicode_snake_case"])),
        tuple(draw(st.lists(st.text("ab=", max_size=3), max_size=3))),
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


@settings(max_examples=30)
@given(schemas())
def test_a_schema_survives_yaml_but_for_the_keys_of_the_source(schema) -> None:
    assert Schema.from_yaml(schema.to_pretty_yaml(remove_defaults=False)) == schema

    plain = Schema.from_yaml(schema.to_pretty_yaml())
    assert plain == Schema.from_yaml(schema.to_pretty_json())
    assert [
        [(column.name, column.type, column.nullable, column.hints) for column in table.columns.values()]
        for table in plain.tables.values()
    ] == [
        [(column.name, column.type, column.nullable, column.hints) for column in schema.tables[name].columns.values()]
        for name in plain.tables
    ]


@given(schemas())
@settings(max_examples=50)
def test_the_text_is_the_document_and_the_hash_is_of_its_tables(schema: Schema) -> None:
    tables = {name: table.to_dict() for name, table in schema.tables.items()}
    plain = json.dumps(tables, sort_keys=True, ensure_ascii=False).encode()

    assert schema_to_json(schema) == json.dumps(schema.to_dict(), ensure_ascii=False)
    assert schema.content_hash == base64.b64encode(hashlib.sha3_256(plain).digest()).decode()


def test_versions_remember_those_before() -> None:
    versions = [Schema("shop")]
    for number in range(12):
        tables = {"t": Table("t", {f"c{number}": Column(f"c{number}", ColumnType("text"))})}
        versions.append(Schema("shop", tables).succeeding(versions[-1]))

    last = versions[-1]
    assert [schema.version for schema in versions] == list(range(13))
    assert last.previous_hashes == tuple(schema.version_hash for schema in versions[-2:-12:-1])
    assert versions[1].previous_hashes == ()


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


# --- as code for dlt asks ----------------------------------------------------------------------------------------


SHOP = Schema(
    "shop",
    {
        "orders": Table(
            "orders",
            {
                "id": Column("id", ColumnType("bigint"), nullable=False, primary_key=True, path=("id",)),
                "price": Column("price", ColumnType("decimal", 10, 2)),
                "never_seen": Column("never_seen"),
            },
            resource="orders",
            write_disposition="merge",
            path=("orders",),
        ),
        "orders__tags": Table("orders__tags", {"value": Column("value", ColumnType("text"))}, parent="orders"),
    },
    naming="unicode_snake_case",
    version=1,
)


def test_tables_and_columns_are_read_by_the_keys_of_the_document() -> None:
    orders = SHOP.tables["orders"]

    assert orders["columns"]["price"] == {
        "name": "price", "data_type": "decimal", "precision": 10, "scale": 2, "nullable": True,
    }  # fmt: skip
    assert (orders["write_disposition"], orders.get("parent"), "parent" in SHOP.tables["orders__tags"]) == (
        "merge",
        None,
        True,
    )
    assert dict(orders.columns["id"])["primary_key"] is True
    assert SHOP.get_table("orders") == dict(orders)
    assert list(SHOP.get_table_columns("orders")) == ["id", "price"]
    assert list(SHOP.get_table_columns("orders", include_incomplete=True)) == ["id", "price", "never_seen"]
    assert [table["name"] for table in SHOP.data_tables()] == SHOP.data_table_names() == ["orders", "orders__tags"]
    assert SHOP.get_table("_dlt_version")["write_disposition"] == "skip"
    with pytest.raises(KeyError, match=r"has no table 'people'\. It has 'orders', 'orders__tags'"):
        SHOP.get_table("people")


def test_the_document_names_what_dlt_knows() -> None:
    document = SHOP.to_dict()

    assert list(document["tables"]) == ["_dlt_loads", "_dlt_version", "_dlt_pipeline_state", "orders", "orders__tags"]
    assert SHOP.dlt_table_names() == list(document["tables"])[:3]
    assert document["normalizers"] == {"names": "snake_case", "json": {"module": "dlt.common.normalizers.json.relational"}}
    assert document["x-naming"] == "unicode_snake_case"
    assert all(
        table["x-normalizer"] == {"seen-data": True} for name, table in document["tables"].items() if "orders" in name
    )


def test_yaml_shows_what_people_read() -> None:
    text = SHOP.to_pretty_yaml()

    assert text.startswith(f"version: 1\nversion_hash: {SHOP.version_hash}\nengine_version: 11\nname: shop\ntables:\n")
    assert (
        """
  orders:
    columns:
      id:
        data_type: bigint
        nullable: false
        primary_key: true
      price:
        data_type: decimal
        precision: 10
        scale: 2
        nullable: true
      never_seen:
        nullable: true
    write_disposition: merge
    resource: orders
    x-normalizer:
      seen-data: true
  orders__tags:
"""
        in text
    )
    assert "&id" not in text


@pytest.mark.parametrize("line_break", ["\x85", "\u2028", "\u2029", "\n", "\r"])
def test_line_breaks_in_keys_and_descriptions_survive_yaml(line_break: str) -> None:
    column = Column("a", ColumnType("text"), description=f"one{line_break}two", path=(f"a{line_break}b",))
    schema = Schema("odd", {"t": Table("t", {"a": column}, resource="t")}, version=1)

    assert Schema.from_yaml(schema.to_pretty_yaml(remove_defaults=False)) == schema
