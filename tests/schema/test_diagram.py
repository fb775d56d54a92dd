"""Diagrams of a schema: what they say, and that no name breaks them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.table import Column, Table
from dlt_orchestrate.schema.types import ColumnType

SHOP = Schema(
    "shop",
    {
        "orders": Table(
            "orders",
            {
                "id": Column("id", ColumnType("bigint"), nullable=False, primary_key=True, description='The "number"'),
                "price": Column("price", ColumnType("decimal", 10, 2)),
                "1st": Column("1st", ColumnType("timestamp", timezone=False)),
                "_dlt_id": Column("_dlt_id", ColumnType("text"), nullable=False, hints={"unique": True, "row_key": True}),
            },
            description="It's what\nwas ordered",
        ),
        "orders__lines": Table(
            "orders__lines",
            {
                "_dlt_root_id": Column("_dlt_root_id", ColumnType("text"), nullable=False),
                "_dlt_parent_id": Column("_dlt_parent_id", ColumnType("text"), nullable=False),
                "_dlt_id": Column("_dlt_id", ColumnType("text"), nullable=False),
            },
            parent="orders",
        ),
        "orders__lines__tags": Table(
            "orders__lines__tags",
            {
                "value": Column("value"),
                "_dlt_root_id": Column("_dlt_root_id", ColumnType("text"), nullable=False),
                "_dlt_parent_id": Column("_dlt_parent_id", ColumnType("text"), nullable=False),
            },
            parent="orders__lines",
        ),
        "stock": Table("stock", {name: Column(name, ColumnType("text"), primary_key=True) for name in ("shop", "sku")}),
    },
)

MERMAID = """\
erDiagram
    "orders" {
        bigint id PK "The 'number'"
        decimal price "decimal(10,2)"
        timestamp _1st "1st, timestamp without time zone"
        text _dlt_id UK
    }
    "orders__lines" {
        text _dlt_root_id
        text _dlt_parent_id FK
        text _dlt_id
    }
    "orders__lines__tags" {
        unknown value
        text _dlt_root_id FK
        text _dlt_parent_id FK
    }
    "stock" {
        text shop PK
        text sku PK
    }
    "orders__lines" }o--|| "orders" : "nested in"
    "orders__lines__tags" }o--|| "orders__lines" : "nested in"
    "orders__lines__tags" }o--|| "orders" : "belongs to"
"""

DBML = """\
Table "orders" {
    "id" bigint [pk, not null, note: 'The "number"']
    "price" decimal(10,2)
    "1st" "timestamp without time zone"
    "_dlt_id" text [unique, not null]
    Note: 'It\\'s what was ordered'
}

Table "orders__lines" {
    "_dlt_root_id" text [not null]
    "_dlt_parent_id" text [not null]
    "_dlt_id" text [not null]
}

Table "orders__lines__tags" {
    "value" unknown
    "_dlt_root_id" text [not null]
    "_dlt_parent_id" text [not null]
}

Table "stock" {
    "shop" text
    "sku" text
    indexes {
        ("shop", "sku") [pk]
    }
}

Ref: "orders__lines"."_dlt_parent_id" > "orders"."_dlt_id"
Ref: "orders__lines__tags"."_dlt_parent_id" > "orders__lines"."_dlt_id"
Ref: "orders__lines__tags"."_dlt_root_id" > "orders"."_dlt_id"
"""


def test_a_schema_as_mermaid() -> None:
    assert SHOP.to_mermaid() == MERMAID


def test_a_schema_as_dbml() -> None:
    assert SHOP.to_dbml() == DBML


def test_a_schema_as_a_graph() -> None:
    lines = SHOP.to_dot().splitlines()

    assert lines[:3] == ['digraph "shop" {', "    rankdir=LR;", "    node [shape=plain];"]
    assert '<td align="left" port="id"><u>id</u></td><td align="left">bigint</td>' in lines[3]
    assert lines[-4:] == [
        '    "orders__lines":"_dlt_parent_id" -> "orders":"_dlt_id";',
        '    "orders__lines__tags":"_dlt_parent_id" -> "orders__lines":"_dlt_id";',
        '    "orders__lines__tags":"_dlt_root_id" -> "orders":"_dlt_id";',
        "}",
    ]


# --- any name ----------------------------------------------------------------------------------------------------

_odd = st.text(
    st.sampled_from("aé日1_-. \"'%\\<>&{}[]#\n") | st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8
)
_names = _odd | st.sampled_from(["PK", "direction LR", "%%{init}%%", 'a"b', "a_b", "style"])
_columns = st.lists(_names, unique=True, min_size=1, max_size=4)
_tables = st.dictionaries(_names, st.tuples(_columns, _names), min_size=1, max_size=4)


def schema_of(tables: dict) -> Schema:
    return Schema(
        "any",
        {
            name: Table(name, {c: Column(c, ColumnType("text"), description=text) for c in columns}, description=text)
            for name, (columns, text) in tables.items()
        },
    )


@given(_tables)
def test_mermaid_reads_every_line(tables) -> None:
    # As the lexer of Mermaid's entity relationship diagrams reads names, columns, keys and comments.
    entity = re.compile(r'    "[^"%\r\n\v\x08\\]+" \{')
    column = re.compile(r'        text (?!(PK|FK|UK)\b)[A-Za-z_\u00C0-\uFFFF][A-Za-z0-9_\u00C0-\uFFFF]*( "[^"]*")?')
    text = schema_of(tables).to_mermaid()

    body = text.removesuffix("\n").split("\n")[1:]
    assert all(entity.fullmatch(line) or column.fullmatch(line) or line == "    }" for line in body), text
    entities = [line for line in body if entity.fullmatch(line)]
    assert len(set(entities)) == len(tables)
    assert "%%" not in text
    assert not re.search(r"direction\s+(TB|BT|LR|RL)", text)


@given(_tables)
def test_dbml_quotes_every_name(tables) -> None:
    note = r"'(?:[^'\\]|\\.)*'"
    table, column = re.compile(r'Table "[^"\\\n]+" \{'), re.compile(rf'    "[^"\\\n]+" text( \[note: {note}\])?')
    text = schema_of(tables).to_dbml()

    body = text.removesuffix("\n").split("\n")
    assert all(
        table.fullmatch(line) or column.fullmatch(line) or re.fullmatch(rf"    Note: {note}", line) or line in ("}", "")
        for line in body
    ), text


@given(_tables)
def test_a_graph_shows_every_name_as_it_is(tables) -> None:
    class Texts(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.ports: list[str | None] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.ports += [value for name, value in attrs if name == "port"]

    parser = Texts()
    parser.feed(schema_of(tables).to_dot())

    assert parser.ports == [name for columns, _ in tables.values() for name in columns]
