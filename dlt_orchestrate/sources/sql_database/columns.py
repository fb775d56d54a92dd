"""What the columns of a database become, by their types as SQLAlchemy has them.

The type is told by what the database declares, never by the values at hand. What Arrow, or a driver, has no faithful form
for is asked for as text, or as JSON where it is made of other values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql.elements import ColumnElement

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.sources.sql_database.kinds import MOST_DIGITS, ColumnPlan, Kind, TypeAdapter

DUCKDB_TYPE = "duckdb_type"
"""Key of `Column.info` that holds the type as DuckDB writes it."""
IS_UNIQUE = "is_unique"
"""Key of `Column.info` that holds whether no two rows have the same value in it."""
UNSIGNED_BIGINT_DIGITS = 20
_BITS_OF_BIGINT = 64


@dataclass(frozen=True)
class ReflectedColumn(ColumnPlan):
    """A column that is read, with what SQLAlchemy writes queries with.

    Attributes:
        column: As reflected.
    """

    column: sa.Column[Any]

    @property
    def expression(self) -> ColumnElement[Any]:
        """What is selected for it, under its name."""
        column: ColumnElement[Any] = self.column
        match self.kind.asked:
            case "as text":
                column = sa.cast(column, sa.Text())
            case "array as json":
                column = sa.cast(sa.func.array_to_json(column), sa.Text())
            case "nested as json":
                column = sa.cast(sa.func.to_json(column), sa.Text())
            case "address as text":
                column = sa.func.abbrev(column)
            case "as numeric":
                column = sa.cast(column, sa.Numeric())
            case "as bigint":
                column = sa.cast(column, sa.BigInteger())
            case "as unsigned":
                column = sa.cast(column, mysql.INTEGER(unsigned=True))
            case "as double":
                column = sa.type_coerce(column, sa.types.NullType()) + sa.literal_column("0e0")
            case "as huge decimal":
                column = sa.cast(column, sa.Numeric(MOST_DIGITS, 0))
            case "as it is" if self.dialect in RAW_DIALECTS:
                # Values come as the driver gives them: SQLAlchemy would round decimals, and refuse unknown values of enums.
                column = sa.type_coerce(column, sa.types.NullType())
        return column.label(self.name)


RAW_DIALECTS = frozenset({"sqlite", "mysql", "mariadb", "postgresql", "duckdb"})
"""Dialects whose values are taken from the driver, not from SQLAlchemy's types."""


def plan_columns(table: sa.Table, dialect: str, adapt: TypeAdapter | None = None) -> list[ReflectedColumn]:
    """The columns of a table, each with what it becomes.

    Args:
        adapt: Is given the type of each column, and may give another one, or None to let the values tell.
    """
    return [
        ReflectedColumn(
            name=column.name,
            kind=_adapted(column, dialect, adapt),
            dialect=dialect,
            nullable=bool(column.nullable),
            is_unique=bool(column.unique or column.info.get(IS_UNIQUE)),
            comment=column.comment,
            column=column,
        )
        for column in table.columns
    ]


def _adapted(column: sa.Column[Any], dialect: str, adapt: TypeAdapter | None) -> Kind:
    natural = kind_of(column.type, dialect, column.info.get(DUCKDB_TYPE))
    if adapt is None:
        return natural
    wanted = adapt(column.type)
    if wanted is column.type:
        return natural
    if wanted is None:
        return Kind(asked=natural.asked)
    other = kind_of(sa.types.to_instance(wanted), dialect)
    return Kind(other.data_type, other.precision, other.scale, other.timezone, natural.asked, other.is_measured)


def kind_of(column_type: Any, dialect: str, duckdb_type: str | None = None) -> Kind:
    """What a column of a type becomes.

    >>> kind_of(sa.Numeric(12, 2), "postgresql")
    Kind(data_type='decimal', precision=12, scale=2, timezone=None, asked='as it is', is_measured=False, is_certain=True)
    >>> kind_of(mysql.BIGINT(unsigned=True), "mysql").data_type, kind_of(mysql.TINYINT(display_width=1), "mysql").data_type
    ('decimal', 'bool')
    """
    if duckdb_type is not None and (found := _of_duckdb(duckdb_type)) is not None:
        return found
    if dialect == "postgresql" and (found := _of_postgres(column_type, dialect)) is not None:
        return found
    if dialect in ("mysql", "mariadb") and (found := _of_mysql(column_type)) is not None:
        return found
    match column_type:
        case sa.Boolean():
            return Kind("bool")
        case sa.Integer():
            bits = 16 if isinstance(column_type, sa.SmallInteger) else 64 if isinstance(column_type, sa.BigInteger) else 32
            return Kind("bigint", None if dialect == "sqlite" else bits, is_measured=True)
        case sa.Float() | sa.REAL():
            return Kind("double")
        case sa.Numeric():
            return _of_numeric(column_type)
        case sa.Date():
            return Kind("date")
        case sa.DateTime():
            is_aware = column_type.timezone and dialect != "sqlite"
            return Kind("timestamp", timezone=None if is_aware else False, is_certain=dialect != "sqlite")
        case sa.Time():
            return Kind("text") if column_type.timezone else Kind("time")
        case sa.Interval():
            return Kind()
        case sa.JSON():
            return Kind("json")
        case sa.Uuid():
            return Kind("text")
        case sa.String():
            return Kind("text", column_type.length, is_measured=True)
        case sa.LargeBinary() | sa.BINARY() | sa.VARBINARY():
            return Kind("binary", column_type.length, is_measured=True)
        case sa.ARRAY():
            return Kind("json")
        case _:
            return Kind()


def _of_numeric(column_type: Any) -> Kind:
    precision, scale = column_type.precision, column_type.scale
    if precision is None or not 0 < precision <= MOST_DIGITS or not 0 <= (scale or 0) <= precision:
        return Kind()
    return Kind("decimal", precision, scale or 0)


_TEXTS_OF_POSTGRES = (
    sa.Enum,
    sa.Uuid,
    postgresql.INTERVAL,
    postgresql.CIDR,
    postgresql.MACADDR,
    postgresql.MACADDR8,
    postgresql.BIT,
    postgresql.HSTORE,
    postgresql.TSVECTOR,
    postgresql.TSQUERY,
    postgresql.REGCLASS,
    postgresql.ranges.AbstractRange,
)


def _of_postgres(column_type: Any, dialect: str) -> Kind | None:
    match column_type:
        case postgresql.DOMAIN():
            return kind_of(column_type.data_type, dialect)
        case sa.ARRAY():
            return Kind("json", asked="array as json")
        case postgresql.OID():
            return Kind("bigint", asked="as bigint")
        case postgresql.MONEY():
            return Kind(asked="as numeric")
        case postgresql.INET():
            return Kind("text", asked="address as text")
        case sa.types.NullType():
            return Kind("text", asked="as text")
        case sa.Time() if column_type.timezone:
            return Kind("text", asked="as text")
        case _ if isinstance(column_type, _TEXTS_OF_POSTGRES):
            return Kind("text", asked="as text")
        case _:
            return None


def _of_mysql(column_type: Any) -> Kind | None:
    match column_type:
        case mysql.TINYINT() if column_type.display_width == 1 and not column_type.unsigned:
            return Kind("bool")
        case mysql.BIGINT() if column_type.unsigned:
            return Kind("decimal", UNSIGNED_BIGINT_DIGITS, 0)
        case mysql.INTEGER() | mysql.MEDIUMINT() if column_type.unsigned:
            return Kind("bigint")
        case mysql.TINYINT() | mysql.SMALLINT() | mysql.YEAR():
            return Kind("bigint", 32 if getattr(column_type, "unsigned", False) else 16, is_measured=True)
        case mysql.FLOAT() if column_type.scale is None:
            return Kind("double", asked="as double")  # MySQL tells six digits of a FLOAT, and all of a DOUBLE
        case mysql.BIT():
            return _of_bits(column_type.length or 1)
        case mysql.TIMESTAMP():
            return Kind("timestamp")
        case mysql.ENUM() | mysql.SET():
            return Kind("text")
        case mysql.JSON():
            return Kind("json")
        case _:
            return None


def _of_bits(length: int) -> Kind:
    """What MySQL's BIT becomes: a truth value, or the number that the bits spell."""
    if length == 1:
        return Kind("bool", asked="as unsigned")
    if length < _BITS_OF_BIGINT:
        return Kind("bigint", asked="as unsigned")
    return Kind("decimal", UNSIGNED_BIGINT_DIGITS, 0, asked="as unsigned")


_OF_DUCKDB: Mapping[str, Kind] = {
    "HUGEINT": Kind("decimal", MOST_DIGITS, 0, asked="as huge decimal"),
    "UHUGEINT": Kind("decimal", MOST_DIGITS, 0, asked="as huge decimal"),
    "UBIGINT": Kind("decimal", UNSIGNED_BIGINT_DIGITS, 0),
    "UINTEGER": Kind("bigint"),
    "USMALLINT": Kind("bigint", 32, is_measured=True),
    "UTINYINT": Kind("bigint", 16, is_measured=True),
    "INTERVAL": Kind("text", asked="as text"),
    "UUID": Kind("text", asked="as text"),
    "BIT": Kind("text", asked="as text"),
    "TIME WITH TIME ZONE": Kind("text", asked="as text"),
}


def _of_duckdb(written: str) -> Kind | None:
    if written in _OF_DUCKDB:
        return _OF_DUCKDB[written]
    if written.startswith("ENUM"):
        return Kind("text", asked="as text")
    if written.endswith("]") or written.startswith(("STRUCT", "MAP", "UNION")):
        return Kind("json", asked="nested as json")
    return None
