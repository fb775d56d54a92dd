"""A destination: two verbs to load, one to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dlt_orchestrate.flow.operation import Operation
from dlt_orchestrate.flow.package import CommitResult, LoadPackage, TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.types import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa


class Catalog(Protocol):
    """What planning asks of the destination inside the commit's transaction."""

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        """The columns of a table as they really are, in order; None if the table does not exist."""

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        """Least and greatest value of an integer column; None if it holds no values."""

    def row_count(self, table: str) -> int:
        """Number of rows of a table; 0 if it does not exist."""

    def any_text(self, table: str, column: str) -> str | None:
        """Some value of a text column; None if it holds none."""


class Transaction(Catalog, Protocol):
    """What a destination offers inside the one transaction of a commit; `load.commit` drives it."""

    def snapshot(self, scope: Scope) -> Snapshot:
        """Read schemas, state and commit numbers, under the commit lock."""

    def row_count_after(self, table: str, change: int) -> int:
        """Number of rows of a table that this commit gave `change` more rows than it had; 0 if it does not exist.

        Where counting is cheap it is counted; else it may be told from what the commit before left.
        """

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        """Do one operation; returns what it did to each table (all but the total)."""


class Reader(Protocol):
    """Read access to one dataset; sees committed loads only."""

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        """Every table with its columns and their types, as the destination prints them."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run a query; unqualified table names are those of the dataset, and `$1`, `$2` stand for the parameters."""

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        """Run a query and read its result piece by piece, in bounded memory."""

    def qualified(self, table: str) -> str:
        """The full, quoted name of a table in SQL."""

    def quoted(self, identifier: str) -> str:
        """An identifier, quoted for SQL."""


@runtime_checkable
class Destination(Protocol):
    """A place that packages are committed to."""

    @property
    def name(self) -> str:
        """What kind of destination it is, such as `duckdb`."""

    @property
    def location(self) -> str:
        """Where it is, printable: without credentials."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can hold."""

    def read_state(self, scope: Scope) -> Snapshot:
        """Read schemas, state and commit numbers.

        Raises:
            DestinationLockedError: Another process held it for longer than the set time.
            DestinationUnavailableError: It cannot be opened.
            SystemTablesNewerError: A newer release wrote its system tables.
        """

    def commit(self, package: LoadPackage) -> CommitResult:
        """Make rows, schema, state and records visible together, or change nothing.

        A package whose idempotency keys were all committed before changes nothing and returns the earlier result.

        Raises:
            CommitConflictError: A unit moved on since the package was planned.
            StateConflictError: Another load changed the same key of a source's state.
            ColumnTypeConflictError: A hint asks for a type that cannot hold the stored values.
            DestinationLockedError, DestinationUnavailableError, SystemTablesNewerError: As in `read_state`.
            DestinationRefusedError: It refused a statement, as where a constraint was added to a table by hand.
            CommitLostError, CommitOutcomeUnknownError: The connection broke at the end; see `load.outcome`.
        """

    def reader(self, dataset_name: str) -> AbstractContextManager[Reader]:
        """Open a dataset for reading."""

    def datasets(self) -> Sequence[str]:
        """Names of the datasets that loads were committed to, by any pipeline."""

    def type_name(self, column_type: ColumnType) -> str:
        """How the destination itself calls a type, as catalogs show it."""

    def qualified_name(self, dataset_name: str, table: str) -> str:
        """The full name of a table, unquoted, as catalogs and Dagster's `dagster/table_name` want it."""
