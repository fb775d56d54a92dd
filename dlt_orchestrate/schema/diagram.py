"""A schema as a diagram: text for Mermaid, Graphviz and DBML, which no name and no description breaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column, Table

_MERMAID_WORD = re.compile(r"[A-Za-z_\u00C0-\uFFFF][A-Za-z0-9_\u00C0-\uFFFF]*")
_MERMAID_KEYS = frozenset({"PK", "FK", "UK"})
_MERMAID_DIRECTION = re.compile(r"(direction)\s+(?=TB|BT|LR|RL)")
_DBML_TYPE = re.compile(r"\w+(\(\d+(,\d+)?\))?")


@dataclass(frozen=True, slots=True)
class Link:
    """A column that holds the value of a column of another table."""

    table: str
    column: str
    to_table: str
    to_column: str


def links(schema: Schema) -> Iterator[Link]:
    """The columns that tie nested tables to the tables above; to the root only where that is not the one right above."""
    for table in schema.tables.values():
        if table.parent is None or table.parent not in schema.tables:
            continue
        yield Link(table.name, PARENT_ID, table.parent, ROW_ID)
        root = _root(schema, table)
        if ROOT_ID in table.columns and root != table.parent:
            yield Link(table.name, ROOT_ID, root, ROW_ID)


# --- Mermaid -----------------------------------------------------------------------------------------------------


def mermaid(schema: Schema) -> str:
    """An `erDiagram`: tables with columns, types and keys, and which table is nested in which.

    Names of tables stand in quotes. Mermaid has no quotes for columns: a name that it could not read is written with
    underscores, and as it is beside that.
    """
    linked = {(link.table, link.column) for link in links(schema)}
    entities = _distinct(schema.tables, _mermaid_entity)
    lines = ["erDiagram"]
    for table in schema.tables.values():
        lines.append(f'    "{entities[table.name]}" {{')
        lines += [
            f"        {_mermaid_column(column, (table.name, name) in linked)}" for name, column in table.columns.items()
        ]
        lines.append("    }")
    for link in links(schema):
        label = "nested in" if link.column == PARENT_ID else "belongs to"
        lines.append(f'    "{entities[link.table]}" }}o--|| "{entities[link.to_table]}" : "{label}"')
    return "\n".join(lines) + "\n"


def _mermaid_entity(name: str) -> str:
    return _MERMAID_DIRECTION.sub(r"\1_", re.sub(r'["%\\\x00-\x1f\x7f]', "_", name))


def _mermaid_column(column: Column, is_link: bool) -> str:
    kind = column.type.kind if column.type else "unknown"
    name, remarks = column.name, []
    if not _MERMAID_WORD.fullmatch(name) or name in _MERMAID_KEYS:
        name = "_" + re.sub(r"[^A-Za-z0-9_\u00C0-\uFFFF]", "_", name)
        remarks.append(column.name)
    if column.type and str(column.type) != kind:
        remarks.append(str(column.type))
    if column.description:
        remarks.append(column.description)
    keys = [
        key for key, has in (("PK", column.primary_key), ("FK", is_link), ("UK", bool(column.hints.get("unique")))) if has
    ]
    text = _MERMAID_DIRECTION.sub(r"\1_", ", ".join(remarks))
    comment = " ".join(text.replace('"', "'").replace("%%", "% %").split())
    return " ".join([kind, name, *([", ".join(keys)] if keys else []), *([f'"{comment}"'] if comment else [])])


# --- Graphviz ----------------------------------------------------------------------------------------------------


def dot(schema: Schema) -> str:
    """A directed graph: a node with its columns for each table, an edge from each nested table to the one above."""
    lines = [f"digraph {_dot_name(schema.name)} {{", "    rankdir=LR;", "    node [shape=plain];"]
    for table in schema.tables.values():
        rows = "".join(_dot_column(column) for column in table.columns.values())
        title = f'<tr><td colspan="2" bgcolor="lightgrey"><b>{escape(table.name)}</b></td></tr>'
        label = f'<<table border="0" cellborder="1" cellspacing="0">{title}{rows}</table>>'
        lines.append(f"    {_dot_name(table.name)} [label={label}];")
    for link in links(schema):
        start, end = (
            f"{_dot_name(link.table)}:{_dot_name(link.column)}",
            f"{_dot_name(link.to_table)}:{_dot_name(link.to_column)}",
        )
        lines.append(f"    {start} -> {end};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_name(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot_column(column: Column) -> str:
    name = escape(column.name)
    shown = f"<u>{name}</u>" if column.primary_key else name
    kind = escape(str(column.type or "unknown"))
    return f'<tr><td align="left" port="{name}">{shown}</td><td align="left">{kind}</td></tr>'


# --- DBML --------------------------------------------------------------------------------------------------------


def dbml(schema: Schema) -> str:
    """Tables with columns, types, keys and notes, and references between them; DBML has no tables without columns."""
    lines: list[str] = []
    tables = _distinct(schema.tables, _dbml_name)
    for table in (table for table in schema.tables.values() if table.columns):
        lines.append(f'Table "{tables[table.name]}" {{')
        names = _distinct(table.columns, _dbml_name)
        key = [column.name for column in table.columns.values() if column.primary_key]
        lines += [
            f'    "{names[column.name]}" {_dbml_rest(column, is_key=key == [column.name])}'
            for column in table.columns.values()
        ]
        if len(key) > 1:
            lines += ["    indexes {", "        (" + ", ".join(f'"{names[name]}"' for name in key) + ") [pk]", "    }"]
        if table.description:
            lines.append(f"    Note: {_dbml_text(table.description)}")
        lines += ["}", ""]
    for link in links(schema):
        lines.append(f'Ref: "{tables[link.table]}"."{link.column}" > "{tables[link.to_table]}"."{link.to_column}"')
    return "\n".join(lines).rstrip("\n") + "\n"


def _dbml_name(name: str) -> str:
    return re.sub(r'["\\\x00-\x1f\x7f]', "_", name)


def _dbml_rest(column: Column, *, is_key: bool) -> str:
    """What stands behind the name of a column."""
    kind = str(column.type or "unknown")
    settings = [
        *(["pk"] if is_key else []),
        *(["unique"] if column.hints.get("unique") else []),
        *([] if column.nullable else ["not null"]),
        *([f"note: {_dbml_text(column.description)}"] if column.description else []),
    ]
    shown = kind if _DBML_TYPE.fullmatch(kind) else f'"{kind}"'
    return shown + (f" [{', '.join(settings)}]" if settings else "")


def _dbml_text(text: str) -> str:
    flat = " ".join(text.split())
    return "'" + flat.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _distinct(names: Iterable[str], shown: Callable[[str], str]) -> Mapping[str, str]:
    """How names are written, each in a way of its own."""
    found: dict[str, str] = {}
    for name in names:
        written, number = shown(name), 1
        while written in found.values():
            number += 1
            written = f"{shown(name)}_{number}"
        found[name] = written
    return found


def _root(schema: Schema, table: Table) -> str:
    while table.parent is not None and table.parent in schema.tables:
        table = schema.tables[table.parent]
    return table.name
