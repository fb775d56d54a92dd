"""Tables of PostgreSQL as its catalog tells them, and read without SQLAlchemy, whose import takes longer than a small load.

This serves what needs none of SQLAlchemy's objects: whole tables of plain types, at a plain address. All else, a table that
is not there included, is left to the way that goes through SQLAlchemy, and both tell the same of a table.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import Secret, learn, learn_parts
from dlt_orchestrate.sources.sql_database.kinds import MOST_DIGITS, ColumnPlan, Kind
from dlt_orchestrate.sources.sql_database.postgres_text import SESSION_PARAMETERS, SETTINGS, literal, quoted

_ADDRESS = re.compile(
    r"postgres(?:ql)?://(?P<login>[\w.~%-]+(?::(?P<password>[\w.~%-]+))?)@(?P<place>[\w.-]+(?::\d+)?/[\w.-]+)"
    r"(?:\?(?P<options>(?:sslmode|connect_timeout|application_name)=[\w.-]+"
    r"(?:&(?:sslmode|connect_timeout|application_name)=[\w.-]+)*))?",
    re.ASCII,
)
"""Addresses without anything that could be meant in several ways; further options are looked at by `credentials`."""

# As SQLAlchemy's reflection: of the visible tables and views of that name those that are not the system's own.
_COLUMNS = """
SELECT
    a.attname::text,
    pg_catalog.format_type(a.atttypid, a.atttypmod),
    t.typtype::text,
    NOT a.attnotnull,
    pg_catalog.col_description(c.oid, a.attnum),
    EXISTS (SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND contype = 'u' AND conkey = ARRAY[a.attnum]),
    EXISTS (SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND contype = 'p' AND a.attnum = ANY (conkey))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE c.oid = pg_catalog.to_regclass({place})
    AND c.relname = {name}
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND c.relnamespace <> 'pg_catalog'::regnamespace
ORDER BY a.attnum
"""

_TYPE = re.compile(
    r"(?P<name>[a-z ]+?)(?:\((?P<sizes>\d+(?:,\d+)?)\))?(?P<zone> with(?:out)? time zone)?(?P<array>(?:\[\])*)"
)


def _numeric(precision: int | None = None, scale: int = 0) -> Kind:
    if precision is None or precision > MOST_DIGITS or scale > precision:
        return Kind()
    return Kind("decimal", precision, scale)


_AS_TEXT = Kind("text", asked="as text")
_ENUM = "e"
_KINDS: Mapping[str, Kind | Callable[..., Kind]] = {
    "smallint": Kind("bigint", 16, is_measured=True),
    "integer": Kind("bigint", 32, is_measured=True),
    "bigint": Kind("bigint", 64, is_measured=True),
    "real": Kind("double"),
    "double precision": Kind("double"),
    "numeric": _numeric,
    "boolean": Kind("bool"),
    "text": Kind("text", is_measured=True),
    "character varying": partial(Kind, "text", is_measured=True),
    "character": partial(Kind, "text", is_measured=True),
    "bytea": Kind("binary", is_measured=True),
    "date": Kind("date"),
    "time without time zone": Kind("time"),
    "time with time zone": _AS_TEXT,
    "timestamp without time zone": Kind("timestamp", timezone=False),
    "timestamp with time zone": Kind("timestamp"),
    "interval": _AS_TEXT,
    "json": Kind("json"),
    "jsonb": Kind("json"),
    "uuid": _AS_TEXT,
    "inet": Kind("text", asked="address as text"),
}
"""The common types, by the name that the server prints."""


class PlainAddress(NamedTuple):
    """Where a server is, as its client reads it, and as messages show it."""

    address: str
    location: str


class Described(NamedTuple):
    """A table as its catalog tells it: the columns of its primary key among its columns."""

    columns: Sequence[ColumnPlan]
    key: Sequence[str]


def plain_address(credentials: Any) -> PlainAddress | None:
    """The address of a PostgreSQL server that every client reads alike; None for any other credentials.

    >>> plain_address("postgresql://me:secret@db.example:5432/shop?sslmode=require").location
    'postgresql://db.example:5432/shop'
    >>> plain_address("postgresql+psycopg2://db.example/shop"), plain_address("sqlite:///shop.sqlite")
    (None, None)
    """
    text = credentials.reveal() if isinstance(credentials, Secret) else credentials
    if not isinstance(text, str) or isinstance(text, Placeholder):
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or importlib.util.find_spec("adbc_driver_postgresql") is None:
        return None
    learn_parts(text)
    if found["password"]:
        learn(unquote(found["password"]))
    given = dict(option.split("=") for option in (found["options"] or "").split("&") if option)
    options = "&".join(f"{name}={value}" for name, value in {**SESSION_PARAMETERS, **given}.items())
    return PlainAddress(
        address=f"postgresql://{found['login']}@{found['place']}?{options}",
        location=f"postgresql://{found['place']}",
    )


def session(address: PlainAddress) -> Any:
    """A session of `adbc_client` in which texts of values are alike, whatever server, database and role set."""
    from dlt_orchestrate.sources.sql_database import adbc_client

    connection = adbc_client.connect(address.address)
    try:
        connection.cursor().execute(SETTINGS)
    except BaseException:
        connection.close()
        raise
    return connection


def described(connection: Any, table: str, schema: str | None) -> Described | None:
    """What a table is; None if there is none of the name, or one that is not told by its catalog alone."""
    cursor = connection.cursor()
    cursor.execute(_COLUMNS.format(place=literal(quoted(schema, table)), name=literal(table)))
    columns, key = [], []
    for name, written, family, nullable, comment, is_unique, is_key in cursor.fetchall():
        kind = _AS_TEXT if family == _ENUM else kind_of(written)
        if kind is None:
            return None
        columns.append(ColumnPlan(name, kind, "postgresql", nullable, is_unique, comment))
        key += [name] if is_key else []
    return Described(columns, key) if columns else None


def query_of(table: str, schema: str | None, columns: Sequence[ColumnPlan]) -> str:
    """The query for the rows of a table."""
    selected = ", ".join(f"{_expression(column)} AS {quoted(column.name)}" for column in columns)
    return f"SELECT {selected} FROM {quoted(schema, table)}"  # noqa: S608 - names are quoted


def kind_of(written: str) -> Kind | None:
    """What a column becomes, by its type as the server prints it; None for a type that is not among the common ones.

    >>> kind_of("numeric(12,2)").data_type, kind_of("integer[]").asked, kind_of("shop.money_of_ours")
    ('decimal', 'array as json', None)
    """
    found = _TYPE.fullmatch(written)
    kind = _KINDS.get(f"{found['name']}{found['zone'] or ''}") if found else None
    if found is None or kind is None:
        return None
    if found["array"]:
        return Kind("json", asked="array as json")
    if isinstance(kind, Kind):
        return kind
    return kind(*map(int, found["sizes"].split(",") if found["sizes"] else ()))


def _expression(column: ColumnPlan) -> str:
    name = quoted(column.name)
    match column.kind.asked:
        case "as text":
            return f"CAST({name} AS text)"
        case "array as json":
            return f"CAST(array_to_json({name}) AS text)"
        case "address as text":
            return f"abbrev({name})"
        case _:
            return name
