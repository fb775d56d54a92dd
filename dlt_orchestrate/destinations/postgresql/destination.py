"""The PostgreSQL destination."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dlt_orchestrate.destinations.postgresql import sql
from dlt_orchestrate.destinations.postgresql.address import Address
from dlt_orchestrate.destinations.postgresql.connection import BrokenAtCommit, PostgresServer, Session
from dlt_orchestrate.destinations.postgresql.snapshot import has_load, read_snapshot, tables_of_dataset
from dlt_orchestrate.destinations.postgresql.sql import POSTGRESQL
from dlt_orchestrate.destinations.sql.text import quoted
from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.flow.package import CommitResult, LoadPackage
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import LOADS, SYSTEM_TABLES
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.types import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_LOCK_TIMEOUT_SECONDS = 60.0
DEFAULT_IDLE_TIMEOUT_SECONDS = 300.0
DEFAULT_MOST_COUNTED_ROWS = 1_000_000

MAX_COLUMNS = 1_598
"""PostgreSQL allows 1,600; a merge stages rows with two more than their table has."""

DEFAULT_MAX_COLUMNS = 320
"""A row must fit into a page of 8 kB, and texts of up to 24 bytes, length included, are not moved out of it."""

SYSTEM_COLUMNS = frozenset(("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"))
"""Columns that PostgreSQL has in every table."""

_COPYABLE = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with|values|table)\b", re.IGNORECASE | re.DOTALL)


class Postgres:
    """Loads into one PostgreSQL database: one transaction for each load package, one lock for each dataset.

    Attributes:
        location: Where it is, without credentials.
    """

    name = "postgres"

    def __init__(
        self,
        credentials: object,
        *,
        lock_timeout_seconds: float = DEFAULT_LOCK_TIMEOUT_SECONDS,
        idle_timeout_seconds: float = DEFAULT_IDLE_TIMEOUT_SECONDS,
        most_counted_rows: int = DEFAULT_MOST_COUNTED_ROWS,
        naming_convention: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        address = Address.of(credentials)
        self.location = address.location
        self.capabilities = Capabilities(
            max_identifier_length=63,
            identifiers_measured_in="bytes",
            case_sensitive_identifiers=True,
            naming_convention=naming_convention,
            max_columns=MAX_COLUMNS,
            default_max_columns=DEFAULT_MAX_COLUMNS,
            holds_nul_in_text=False,
            reserved_columns=SYSTEM_COLUMNS,
        )
        self._most_counted_rows = most_counted_rows
        self._clock = clock or SystemClock()
        self._database = address.database
        self._server = PostgresServer(
            address,
            lock_timeout_seconds=lock_timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
            clock=self._clock,
        )

    def __repr__(self) -> str:
        return f"Postgres({self.location!r})"

    def read_state(self, scope: Scope) -> Snapshot:
        """Read schemas, state and commit numbers, as of one moment.

        Raises:
            DestinationLockedError, DestinationUnavailableError, SystemTablesNewerError: See `protocols.destination`.
        """
        asked = (sql.exists(scope.dataset_name, table) for table in SYSTEM_TABLES)
        with self._server.glance(scope.dataset_name, *asked) as (session, answers):
            present = frozenset(table for table, is_there in zip(SYSTEM_TABLES, answers, strict=True) if is_there)
            return read_snapshot(session.rows, scope, present)

    def commit(self, package: LoadPackage) -> CommitResult:
        """Make rows, schema, state and records visible together, or change nothing.

        Raises:
            CommitConflictError, StateConflictError, SchemaError, LoadError: See `protocols.destination`.
            CommitLostError, CommitOutcomeUnknownError: The connection broke; see `load.outcome`.
        """
        from dlt_orchestrate.destinations.postgresql.transaction import PostgresTransaction
        from dlt_orchestrate.load.commit import commit_in
        from dlt_orchestrate.load.outcome import settled

        result: CommitResult | None = None
        try:
            with self._server.transaction("READ WRITE", dataset=package.dataset_name, locks=True) as session:
                transaction = PostgresTransaction(session, package.dataset_name, most_counted_rows=self._most_counted_rows)
                result = commit_in(transaction, package, self.capabilities)
                faultpoint("commit.before_commit")
        except BrokenAtCommit as error:
            assert result is not None
            result = settled(
                result,
                lambda load_id: self._has_load(package.dataset_name, load_id),
                location=self.location,
                problem=str(error),
                clock=self._clock,
            )
        faultpoint("commit.after_commit")
        return result

    @contextmanager
    def reader(self, dataset_name: str) -> Iterator[PostgresReader]:
        """Open a dataset for reading, as it is now: commits that come meanwhile are not seen.

        Raises:
            DestinationUnavailableError: The server cannot be reached.
            DestinationRefusedError: It refuses a query.
        """
        with self._server.transaction("READ ONLY", dataset=dataset_name) as session:
            yield PostgresReader(session, dataset_name)

    def datasets(self) -> list[str]:
        """Names of the datasets that loads were committed to; errors as in `reader`."""
        with self._server.transaction("READ ONLY") as session:
            return [name for (name,) in session.rows(sql.datasets_with(LOADS))]

    def type_name(self, column_type: ColumnType) -> str:
        return POSTGRESQL.sql_type(column_type)

    def qualified_name(self, dataset_name: str, table: str) -> str:
        return f"{self._database}.{dataset_name}.{table}"

    def _has_load(self, dataset: str, load_id: str) -> bool:
        """Whether a load is there, asked once no session is committing to the dataset."""
        found = False
        # It may break at the end, too; what was read under the lock is true all the same.
        with suppress(BrokenAtCommit), self._server.transaction("READ WRITE", dataset=dataset, locks=True) as session:
            present = tables_of_dataset(session.rows, dataset)
            found = LOADS in present and bool(session.rows(has_load(dataset, load_id)))
        return found


class PostgresReader:
    """Read access to one dataset of a PostgreSQL database. Parameters of queries are written `$1`, `$2`."""

    def __init__(self, session: Session, dataset: str) -> None:
        self._session = session
        self._dataset = dataset

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        return tables_of_dataset(self._session.rows, self._dataset)

    def query(self, sql_text: str, parameters: Sequence[object] = ()) -> pa.Table:
        from dlt_orchestrate.destinations.postgresql.reading import ResultTypes

        found = self._session.query(_one_statement(sql_text), parameters, copies=_is_copyable(sql_text))
        return ResultTypes().table(found)

    def stream(self, sql_text: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        from dlt_orchestrate.destinations.postgresql.reading import ResultTypes

        batches = self._session.stream(_one_statement(sql_text), parameters, copies=_is_copyable(sql_text))
        yield from map(ResultTypes().batch, batches)

    def qualified(self, table: str) -> str:
        return sql.qualified(self._dataset, table)

    def quoted(self, identifier: str) -> str:
        return quoted(identifier)


def _one_statement(sql_text: str) -> str:
    """A query as it may stand in parentheses: without a semicolon behind it, and with its last comment ended."""
    return sql_text.rstrip().rstrip(";") + "\n"


def _is_copyable(sql_text: str) -> bool:
    """Whether a statement is a query, which results can be copied of; others, such as EXPLAIN, only answer.

    >>> _is_copyable("-- all\\n(SELECT 1)"), _is_copyable("EXPLAIN SELECT 1")
    (True, False)
    """
    return _COPYABLE.match(sql_text) is not None
