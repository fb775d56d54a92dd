"""Access to what is loaded: tables of a dataset as lists, Arrow tables or data frames."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError, DestinationUnavailableError, MissingExtraError
from dlt_orchestrate.protocols.destination import Destination, Reader

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_OPERATORS = {
    "eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


class Dataset:
    """The tables of one dataset, by attribute or by name: `dataset.issues`, `dataset["issues"]`."""

    def __init__(self, destination: Destination, dataset_name: str) -> None:
        self._destination = destination
        self.dataset_name = dataset_name

    @property
    def tables(self) -> list[str]:
        """Names of all tables, those of the system last."""
        with self._destination.reader(self.dataset_name) as reader:
            return sorted(reader.tables(), key=lambda name: (name.startswith("_dlt_"), name))

    def row_counts(self) -> dict[str, int]:
        """Rows by table, without the system's tables."""
        return {name: self.table(name).count() for name in self.tables if not name.startswith("_dlt_")}

    def table(self, name: str) -> Relation:
        """One table as a relation.

        Raises:
            DestinationUnavailableError: The dataset has no such table.
        """
        known = self.tables
        if name not in known:
            raise DestinationUnavailableError(
                location=f"{self._destination.location}, dataset {self.dataset_name!r}",
                problem=f"it has no table {name!r}",
                advice=f"It has: {', '.join(map(repr, known)) or 'no tables yet; run the pipeline first'}.",
            )
        return Relation(self._destination, self.dataset_name, table=name)

    def query(self, sql: str, *parameters: object) -> Relation:
        """A query of your own; unqualified names are tables of this dataset, and `$1`, `$2` stand for the parameters."""
        return Relation(self._destination, self.dataset_name, sql=sql, parameters=parameters)

    __call__ = query

    def load_ids(self) -> list[str]:
        """Load ids of the completed loads, oldest first."""
        rows = self.query("SELECT load_id FROM _dlt_loads WHERE status = 0 ORDER BY inserted_at, load_id").fetchall()
        return list(dict.fromkeys(load_id for (load_id,) in rows))

    def latest_load_id(self) -> str | None:
        """The newest completed load; None before the first."""
        loads = self.load_ids()
        return loads[-1] if loads else None

    def __getitem__(self, name: str) -> Relation:
        return self.table(name)

    def __getattr__(self, name: str) -> Relation:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.table(name)

    def __repr__(self) -> str:
        return f"<dataset {self.dataset_name!r} in {self._destination.location}>"


@dataclass(frozen=True)
class Relation:
    """A table or query that is read when its rows are asked for; the steps before give new relations."""

    destination: Destination
    dataset_name: str
    table: str | None = None
    sql: str | None = None
    parameters: tuple[object, ...] = ()
    chosen: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, object], ...] = ()
    ordering: tuple[tuple[str, str], ...] = ()
    row_limit: int | None = None

    def select(self, *columns: str) -> Relation:
        """Only these columns."""
        return replace(self, chosen=columns)

    def where(self, column: str, operator: str, value: object) -> Relation:
        """Only rows whose column compares so: `eq ne lt le gt ge` or the signs, or `in` with a list."""
        if operator != "in" and operator not in _OPERATORS:
            known = ", ".join(["in", *_OPERATORS])
            raise DeclarationError(f"where({column!r}, {operator!r}, ...): unknown operator. Known are: {known}.")
        return replace(self, conditions=(*self.conditions, (column, operator, value)))

    filter = where

    def order_by(self, column: str, direction: str = "asc") -> Relation:
        """Sort by a column, `asc` or `desc`."""
        if direction.lower() not in ("asc", "desc"):
            raise DeclarationError(f"order_by({column!r}, {direction!r}): the direction is 'asc' or 'desc'.")
        return replace(self, ordering=(*self.ordering, (column, direction.upper())))

    def limit(self, rows: int) -> Relation:
        """At most so many rows."""
        return replace(self, row_limit=int(rows))

    def head(self, rows: int = 5) -> Relation:
        """The first few rows."""
        return self.limit(rows)

    def to_sql(self) -> str:
        """The query that will be run."""
        with self._reader() as reader:
            return self._statement(reader)[0]

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table."""
        with self._reader() as reader:
            return reader.query(*self._statement(reader))

    def iter_arrow(self) -> Iterator[pa.RecordBatch]:
        """Rows as Arrow record batches, in bounded memory."""
        with self._reader() as reader:
            yield from reader.stream(*self._statement(reader))

    def df(self) -> pd.DataFrame:
        """All rows as a pandas data frame.

        Raises:
            MissingExtraError: Pandas is not installed.
        """
        _expect_pandas("df()")
        return self.arrow().to_pandas()

    def iter_df(self) -> Iterator[pd.DataFrame]:
        """Rows as pandas data frames, in bounded memory.

        Raises:
            MissingExtraError: Pandas is not installed.
        """
        _expect_pandas("iter_df()")
        for batch in self.iter_arrow():
            yield batch.to_pandas()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples."""
        columns = [column.to_pylist() for column in self.arrow().columns]
        return list(zip(*columns, strict=True))

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row, or None."""
        rows = self.limit(1).fetchall() if self.sql is None else self.fetchall()
        return rows[0] if rows else None

    def fetchscalar(self) -> Any:
        """The first value of the first row, or None."""
        row = self.fetchone()
        return row[0] if row else None

    def count(self) -> int:
        """Number of rows."""
        with self._reader() as reader:
            inner, parameters = self._statement(reader)
            counted = reader.query(f"SELECT count(*) FROM ({inner}) AS counted", parameters)  # noqa: S608
        return int(counted.column(0)[0].as_py())

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.limit(0).arrow().column_names) if self.sql is None else list(self.arrow().column_names)

    def _reader(self) -> Any:
        return self.destination.reader(self.dataset_name)

    def _statement(self, reader: Reader) -> tuple[str, tuple[object, ...]]:
        if self.sql is not None:
            return self.sql, self.parameters
        assert self.table is not None
        parameters: list[object] = []
        columns = ", ".join(map(reader.quoted, self.chosen)) or "*"
        text = f"SELECT {columns} FROM {reader.qualified(self.table)}"  # noqa: S608
        conditions = []
        for column, operator, value in self.conditions:
            if operator == "in":
                values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
                places = ", ".join(f"${len(parameters) + number}" for number in range(1, len(values) + 1))
                conditions.append(f"{reader.quoted(column)} IN ({places})")
                parameters += values
            else:
                parameters.append(value)
                conditions.append(f"{reader.quoted(column)} {_OPERATORS[operator]} ${len(parameters)}")
        if conditions:
            text += f" WHERE {' AND '.join(conditions)}"
        if self.ordering:
            text += " ORDER BY " + ", ".join(f"{reader.quoted(name)} {way}" for name, way in self.ordering)
        if self.row_limit is not None:
            text += f" LIMIT {self.row_limit}"
        return text, tuple(parameters)


def _expect_pandas(feature: str) -> None:
    if importlib.util.find_spec("pandas") is None:
        raise MissingExtraError(feature=feature, extra="frames")
