"""What one SQL database says differently from another, and the statements made of it; values of rows stand in none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from dlt_orchestrate.destinations.sql.text import column_list, is_same, literal, quoted
from dlt_orchestrate.flow.operation import DeleteOld, Preference, ValueRange
from dlt_orchestrate.load.system_tables import unit_columns
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import UnitKey

_IN_BIGINT = range(-(2**63), 2**63)

Kinds = Mapping[str, ColumnType]
"""The columns of rows, and their types."""


class Dialect(ABC):
    """The SQL of one database. Rows are called by an alias, such as `t`; tables by names that are quoted already.

    Attributes:
        place: A hidden column with the place of a row in its table, by which it is found again within a transaction.
        temporary: The schema of temporary tables.
        ends_with_transaction: What says of a temporary table that it goes with the transaction.
    """

    place: ClassVar[str]
    temporary: ClassVar[str]
    ends_with_transaction: ClassVar[str] = ""

    # --- types and values --------------------------------------------------------------------------------------------

    @abstractmethod
    def sql_type(self, column_type: ColumnType) -> str:
        """The type of a column."""

    @abstractmethod
    def column_type(self, data_type: str) -> ColumnType | None:
        """The column type of a type as the catalog prints it; None for types that loads cannot write."""

    @abstractmethod
    def columns_of_dataset(self, dataset: str, tables: Iterable[str] | None = None) -> str:
        """Query tables, columns and types in order; of all tables of a dataset, or of those named."""

    def value(self, found: Any) -> str:
        """A bound of a range as it stands in SQL, of a type that holds it exactly.

        Raises:
            TypeError: It is of a kind that no range has.
        """
        match found:
            case str():
                return self.in_order_of_python(literal(found))
            case datetime():
                kind = types.NAIVE_TIMESTAMP if found.tzinfo is None else types.TIMESTAMP
                return f"'{found.isoformat()}'::{self.sql_type(kind)}"
            case date():
                return f"'{found.isoformat()}'::{self.sql_type(types.DATE)}"
            case int():
                kind = types.BIGINT if found in _IN_BIGINT else ColumnType("decimal", 38, 0)
                return f"'{found}'::{self.sql_type(kind)}"
            case float():
                return f"'{found!r}'::{self.sql_type(types.DOUBLE)}"
            case Decimal():
                scale = max(0, -int(found.as_tuple().exponent))
                return f"'{found:f}'::{self.sql_type(ColumnType('decimal', 38, scale))}"
            case _:
                raise TypeError(f"a range of {type(found).__name__} values")

    def in_order_of_python(self, text: str) -> str:
        """An expression of text in the order of its characters, whatever the order of the database."""
        return text

    def comparable(self, row: str, name: str, kinds: Kinds) -> str:  # noqa: ARG002 - for databases where JSON has no equal
        """A column of a row as something that has an equal."""
        return f"{row}.{quoted(name)}"

    def sortable(self, row: str, name: str, kinds: Kinds) -> str:
        """A column of a row in an order that is the same in every database."""
        column = f"{row}.{quoted(name)}"
        is_text = kinds[name].kind in ("text", "json")
        return self.in_order_of_python(f"{column}::text") if is_text else column

    def place_among(self, columns: Iterable[str]) -> str:  # noqa: ARG002 - for databases where a column can hide it
        """What tells the rows of a table with these columns apart, as it stands in SQL."""
        return self.place

    # --- conditions --------------------------------------------------------------------------------------------------

    def same_key(self, left: str, right: str, key: Iterable[str], kinds: Kinds) -> str:
        """The condition that two rows have the same key, without nulls in it."""
        return " AND ".join(f"{self.comparable(left, name, kinds)} = {self.comparable(right, name, kinds)}" for name in key)

    def in_range(self, row: str, wanted: ValueRange) -> str:
        """The condition that a row lies in a range of values."""
        column = f"{row}.{quoted(wanted.column)}"
        start = f"{column} >= {self.value(wanted.start)}"
        if wanted.end is None:
            return start
        return f"{start} AND {column} {'<=' if wanted.includes_end else '<'} {self.value(wanted.end)}"

    # --- definitions -------------------------------------------------------------------------------------------------

    def definition(self, column: Column) -> str:
        """A column as the definition of a table names it."""
        assert column.type is not None
        return f"{quoted(column.name)} {self.sql_type(column.type)}{'' if column.nullable else ' NOT NULL'}"

    def create_table(self, table: str, columns: Iterable[Column]) -> str:
        return f"CREATE TABLE {table} ({', '.join(map(self.definition, columns))})"

    def create_temporary(self, table: str, columns: Iterable[Column]) -> str:
        definitions = ", ".join(map(self.definition, columns))
        return f"CREATE TEMP TABLE {table} ({definitions}){self.ends_with_transaction}"

    def create_temporary_of(self, table: str, query: str) -> str:
        return f"CREATE TEMP TABLE {table}{self.ends_with_transaction} AS {query}"

    def add_columns(self, table: str, columns: Iterable[Column]) -> Iterable[str]:
        """Add columns, one by one."""
        return (f"ALTER TABLE {table} ADD COLUMN {self.definition(column)}" for column in columns)

    def alter_type(self, table: str, column: str, new_type: ColumnType) -> str:
        """Change a column's type; planned only where every stored value stays what it is, since databases would round."""
        name, target = quoted(column), self.sql_type(new_type)
        converted = f"to_json({name})" if new_type.kind == "json" else f"{name}::{target}"
        return f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {target} USING {converted}"

    def comment_on(self, table: str, column: str | None, description: str) -> str:
        subject = f"TABLE {table}" if column is None else f"COLUMN {table}.{quoted(column)}"
        return f"COMMENT ON {subject} IS {literal(description)}"

    # --- rows --------------------------------------------------------------------------------------------------------

    def insert(self, table: str, columns: Iterable[str], origin: str) -> str:
        """Insert the named columns of one relation into another."""
        names = column_list(columns)
        return f"INSERT INTO {table} ({names}) SELECT {names} FROM {origin}"

    def with_ids(self, staged: str, columns: Iterable[str], key_id: str) -> str:
        """The staged root rows under the ids that their key gives them."""
        chosen = ", ".join(f"{quoted(key_id if name == ROW_ID else name)} AS {quoted(name)}" for name in columns)
        return f"(SELECT {chosen} FROM {staged}) r"

    def with_root_ids(self, nested: str, columns: Iterable[str], staged: str, key_id: str) -> str:
        """The nested rows of the staged root rows, their ids beginning with the id that the root's key gives it."""
        own, new = f"s.{quoted(ROW_ID)}", f"s.{quoted(key_id)}"
        chosen = ", ".join(
            f"{new} || substr(n.{quoted(name)}, length({own}) + 1) AS {quoted(name)}"
            if name in (ROW_ID, PARENT_ID, ROOT_ID)
            else f"n.{quoted(name)}"
            for name in columns
        )
        return f"(SELECT {chosen} FROM {nested} n JOIN {staged} s ON n.{quoted(ROOT_ID)} = {own}) r"

    def give_ids(self, table: str, prefix: str) -> str:
        """Give an id to the rows that have none."""
        row_id = quoted(ROW_ID)
        return f"UPDATE {table} SET {row_id} = {literal(prefix)} || gen_random_uuid()::text WHERE {row_id} IS NULL"

    def delete_surplus(
        self, table: str, place: str, key: Iterable[str], kinds: Kinds, preference: Preference | None = None
    ) -> str:
        """Of rows with the same key delete all but one: the preferred, else the last by a column with their order."""
        order = f"t.{place} DESC"
        if preference is not None:
            direction = "DESC" if preference.greatest else "ASC"
            order = f"{self.sortable('t', preference.column, kinds)} {direction} NULLS LAST, {order}"
        keys = ", ".join(self.comparable("t", name, kinds) for name in key)
        rank = f"row_number() OVER (PARTITION BY {keys} ORDER BY {order})"
        ranked = f"SELECT t.{place} AS place, {rank} AS rank FROM {table} t"
        return f"DELETE FROM {table} WHERE {place} IN (SELECT place FROM ({ranked}) r WHERE rank > 1)"

    def delete_old(self, name: Callable[[str], str], old: DeleteOld) -> str:
        """Delete old rows, except those that are still needed.

        Args:
            name: Gives the full name of a table.
        """
        table = name(old.table)
        kept = [f"t.{quoted(old.column)} < {self.value(old.before)}"]
        if old.last_of:
            order = f"{quoted(old.ranked_by)} DESC, " if old.ranked_by else ""
            latest = f"PARTITION BY {column_list(old.last_of)} ORDER BY {order}{quoted(old.column)} DESC"
            ranked = f"SELECT {self.place} AS place, row_number() OVER ({latest}) AS recency FROM {table}"
            kept.append(f"t.{self.place} NOT IN (SELECT place FROM ({ranked}) r WHERE recency = 1)")
        column, others = old.referred or ("", ())
        for other, theirs in others:
            referring = f"SELECT 1 FROM {name(other)} o WHERE o.{quoted(theirs)} = t.{quoted(column)}"
            kept.append(f"NOT EXISTS ({referring})")
        return f"DELETE FROM {table} t WHERE {' AND '.join(kept)}"

    def forget_attempts(self, commits: str, unit: UnitKey) -> str:
        """Take the idempotency keys out of the commit records of a unit."""
        of_unit = " AND ".join(is_same(name, text) for name, text in unit_columns(unit).items())
        return f"UPDATE {commits} SET {quoted('idempotency_key')} = NULL WHERE {of_unit}"
