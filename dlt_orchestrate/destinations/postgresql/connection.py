"""The only place that touches PostgreSQL's client: sessions, transactions, and what errors of the server mean.

A session is opened for one reading or one commit, and closed at once. It sets what it depends on, so that it behaves alike
whatever the defaults of server, database and role are.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.destinations.postgresql import sql
from dlt_orchestrate.destinations.postgresql.address import Address
from dlt_orchestrate.destinations.sql.text import literal, quoted
from dlt_orchestrate.errors import (
    DestinationLockedError,
    DestinationRefusedError,
    DestinationUnavailableError,
    MissingExtraError,
)
from dlt_orchestrate.load.interruption import CallAbandoned, interruptibly
from dlt_orchestrate.protocols.clock import Clock

if TYPE_CHECKING:
    import adbc_driver_manager
    import pyarrow as pa

APPLICATION_NAME = "dlt_orchestrate"
CHECK_CLIENT_SECONDS = 10
"""How often a busy server looks whether its client is still there."""

_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "extra_float_digits": "1",
    "client_min_messages": "warning",
    "statement_timeout": "0",
}
_MESSAGE = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(.+)")
_OF_CLIENT = re.compile(r"^[A-Z_]+: (?:\[libpq\] )?(?:Failed to [^:]+: )?(?:connection to server .+ failed: )?")
_LOCK_TIMEOUT = "55P03"
_SAID = {
    "idle-in-transaction timeout": "25P03",
    "due to administrator command": "57P01",
    "due to lock timeout": _LOCK_TIMEOUT,
}
"""What the server says, and the SQLSTATE, which the client does not always hand on."""
_ADVICE = {
    "57P01": "Another load that waited while this one stood still has ended its session, or the server was stopped. "
    "Nothing was changed. Run again.",
    "25P03": "The load stood still within its transaction for longer than idle_timeout_seconds allows, so the server ended "
    "it. Run again; raise that setting if planning a load takes so long.",
    "28": "Check user name and password in destination.postgres.credentials.",
    "3D": "Create the database, or check its name.",
    "40": "Run again.",
    "42501": "Grant the role what it lacks: CREATE on the database for new datasets, and to own the tables of the dataset.",
    "53": "The server lacks disk, memory or connections: free some, then run again.",
}


T = TypeVar("T")


class BrokenAtCommit(Exception):
    """The session ended while COMMIT was under way: whether it was carried out, only the server can tell."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the server answered in place of a result, without what it shows of rows."""

    message: str
    sqlstate: str | None

    @property
    def is_broken_session(self) -> bool:
        """Whether the session is gone with it."""
        return self.sqlstate is None or self.sqlstate.startswith(("08", "57P")) or self.sqlstate == "25P03"

    @classmethod
    def of(cls, error: Exception) -> Refusal:
        text = str(error)
        found = _MESSAGE.search(text)
        first = found[1] if found else _OF_CLIENT.sub("", text.splitlines()[0])
        sqlstate = getattr(error, "sqlstate", None) or ("" if found and isinstance(error, OSError) else None)
        for reason, state in _SAID.items():
            if reason in text:
                sqlstate = state
        return cls(first.strip().rstrip("."), sqlstate)


class StatementRefused(Exception):
    """A statement that the server did not carry out."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"{refusal.message} (SQLSTATE {refusal.sqlstate})")


class Session:
    """One connection to the server. Who waits for it in the main thread hears signals, which cancel what is under way."""

    def __init__(self, connection: adbc_driver_manager.AdbcConnection) -> None:
        self._connection = connection
        self._is_given_up = False

    def execute(self, statement: str) -> int:
        """Run a statement whose rows, if it gives any, do not matter; returns the number of rows it changed."""

        def carry_out() -> int:
            with self._statement(statement) as asked:
                return int(asked.execute_update())

        return self._wait_for(carry_out)

    def query(self, statement: str, parameters: Sequence[object] = (), *, copies: bool = True) -> pa.Table:
        """Run a query, and read all that it finds.

        Args:
            copies: Whether the server may be asked to COPY the result, which only queries proper allow.
        """

        def ask() -> pa.Table:
            with self._statement(statement, parameters, copies=copies) as asked, _found(asked) as reader, _midway():
                return reader.read_all()

        return self._wait_for(ask)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query finds, as tuples."""
        found = self.query(statement)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def stream(self, statement: str, parameters: Sequence[object] = (), *, copies: bool = True) -> Iterator[pa.RecordBatch]:
        """Run a query, and read what it finds piece by piece; arguments as in `query`."""
        with ExitStack() as stack:
            with _refusals():
                asked = stack.enter_context(self._statement(statement, parameters, copies=copies))
                reader = stack.enter_context(_found(asked))
            while True:
                try:
                    with _midway():
                        batch = reader.read_next_batch()
                except StopIteration:
                    return
                yield batch

    def ingest(self, table: str, dataset: str | None, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Append batches to a table by the names of their columns; returns the number of rows.

        Args:
            dataset: None for a temporary table.
        """
        import adbc_driver_manager
        import pyarrow as pa

        source = _Remembering(batches)
        reader = pa.RecordBatchReader.from_batches(schema, source)
        options = adbc_driver_manager.StatementOptions
        place = {options.INGEST_TEMPORARY.value: "true"} if dataset is None else {}
        if dataset is not None:
            place[options.INGEST_TARGET_DB_SCHEMA.value] = dataset

        def send() -> int:
            with adbc_driver_manager.AdbcStatement(self._connection) as asked:
                asked.set_options(
                    **{
                        adbc_driver_manager.INGEST_OPTION_TARGET_TABLE: table,
                        adbc_driver_manager.INGEST_OPTION_MODE: adbc_driver_manager.INGEST_OPTION_MODE_APPEND,
                        **place,
                    }
                )
                asked.bind_stream(reader)
                return int(asked.execute_update())

        try:
            return self._wait_for(send)
        except StatementRefused:
            if source.error is not None:
                raise source.error from None  # what went wrong here, and not how the client tells it
            raise

    @contextmanager
    def _statement(
        self, statement: str, parameters: Sequence[object] = (), *, copies: bool = True
    ) -> Iterator[adbc_driver_manager.AdbcStatement]:
        import adbc_driver_manager

        with adbc_driver_manager.AdbcStatement(self._connection) as asked:
            if not copies:
                asked.set_options(**{"adbc.postgresql.use_copy": "false"})
            asked.set_sql_query(statement)
            if parameters:
                import pyarrow as pa

                asked.prepare()
                asked.bind(pa.record_batch({f"${n}": [value] for n, value in enumerate(parameters, 1)}))
            yield asked

    def close(self) -> None:
        """Close the connection; what is not committed is rolled back."""
        if self._is_given_up:
            return  # the client still works with it; the server will find that nobody is there
        self._connection.close()

    def _wait_for(self, call: Callable[[], T]) -> T:
        if self._is_given_up:
            raise StatementRefused(Refusal("the session was given up", None))
        with _refusals():
            try:
                return interruptibly(call, self._cancel)
            except CallAbandoned as abandoned:
                self._is_given_up = True
                raise abandoned.interruption from None

    def _cancel(self) -> None:
        with suppress(Exception):
            self._connection.cancel()


class PostgresServer:
    """One database of a PostgreSQL server.

    Attributes:
        lock_timeout_seconds: How long to wait for a dataset that another load is committing to, or for a locked table.
        idle_timeout_seconds: After how long the server ends a commit that asks for nothing.
    """

    def __init__(self, address: Address, *, lock_timeout_seconds: float, idle_timeout_seconds: float, clock: Clock) -> None:
        self.address = address
        self.lock_timeout_seconds = lock_timeout_seconds
        self.idle_timeout_seconds = idle_timeout_seconds
        self._clock = clock
        # Opened once: the driver reads the types of the server for it, which takes longer than all else a small load asks.
        self._opened: adbc_driver_manager.AdbcDatabase | None = None
        self._opening = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session, closed at the end.

        Raises:
            DestinationUnavailableError: The server cannot be reached, or refuses the session or what is asked of it.
            DestinationRefusedError: It refuses a statement for another reason.
        """
        session = self._open()
        try:
            yield session
        except StatementRefused as error:
            raise self._explained(error.refusal) from None
        finally:
            session.close()

    @contextmanager
    def glance(self, dataset: str, *asked: str) -> Iterator[tuple[Session, tuple[Any, ...]]]:
        """A session for single queries, each of which sees one state of everything, with the values of some expressions.

        Raises:
            DestinationLockedError: Another session locked a table for longer than the set time.
            DestinationUnavailableError, DestinationRefusedError: As in `session`.
        """
        with self.session() as session:
            try:
                (row,) = session.rows(f"SELECT {_settings_as(self._settings(dataset), is_local=False)}, {', '.join(asked)}")
                yield session, row[-len(asked) :]
            except StatementRefused as error:
                if error.refusal.sqlstate == _LOCK_TIMEOUT:
                    raise self._locked(session, dataset) from None
                raise

    @contextmanager
    def transaction(
        self, access: Literal["READ ONLY", "READ WRITE"], *, dataset: str | None = None, locks: bool = False
    ) -> Iterator[Session]:
        """A session within a transaction, which is committed at the end; after an error it is rolled back.

        Args:
            dataset: Where unqualified names are looked up.
            locks: Whether to wait for the dataset's lock first, under which its commits are made one after another.

        Raises:
            DestinationLockedError: Another session held the dataset for longer than the set time.
            BrokenAtCommit: The session ended while the transaction was committed.
            DestinationUnavailableError, DestinationRefusedError: As in `session`.
        """
        with self.session() as session:
            # A reader sees one state of everything. A commit must see what was committed while it waited for the lock.
            level = "REPEATABLE READ" if access == "READ ONLY" else "READ COMMITTED"
            session.execute(f"BEGIN ISOLATION LEVEL {level} {access}")
            try:
                key = sql.lock_key(dataset or "")
                settings = _settings_as(self._settings(dataset), is_local=True)
                (row,) = session.rows(f"SELECT {settings}, {sql.try_lock(key) if locks else 'true'}")
                if not row[-1]:
                    self._wait_for_lock(session, key)
                yield session
            except BaseException as error:
                with suppress(StatementRefused):
                    session.execute("ROLLBACK")
                if isinstance(error, StatementRefused) and error.refusal.sqlstate == _LOCK_TIMEOUT:
                    raise self._locked(session, dataset) from None
                raise
            try:
                session.execute("COMMIT")
            except StatementRefused as error:
                if error.refusal.is_broken_session and access == "READ WRITE":
                    raise BrokenAtCommit(error.refusal.message) from None
                raise

    def _wait_for_lock(self, session: Session, key: int) -> None:
        """Wait for a dataset's lock, and end a session that holds it and has stopped in the middle of its rows.

        The server ends a session that stands still between statements by itself, but waits for rows for ever.
        """
        before = set(session.rows(sql.stopped_holders(key, self.idle_timeout_seconds)))
        session.execute("SAVEPOINT waiting")
        try:
            session.execute(sql.wait_for_lock(key))
        except StatementRefused as error:
            if error.refusal.sqlstate != _LOCK_TIMEOUT or not before:
                raise
            session.execute("ROLLBACK TO waiting")
            session.execute(sql.FORGET_STATISTICS)
            still = before.intersection(session.rows(sql.stopped_holders(key, self.idle_timeout_seconds)))
            if not still:
                raise
            for pid, _ in still:
                session.execute(f"SELECT pg_terminate_backend({pid})")
            session.execute(sql.wait_for_lock(key))

    def _settings(self, dataset: str | None) -> Mapping[str, str]:
        return {
            **_SETTINGS,
            "search_path": quoted(dataset) if dataset is not None else "",
            "lock_timeout": _milliseconds(self.lock_timeout_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_timeout_seconds),
            "client_connection_check_interval": _milliseconds(CHECK_CLIENT_SECONDS),
        }

    def _open(self) -> Session:
        try:
            import adbc_driver_manager
            import adbc_driver_postgresql
        except ImportError:
            raise MissingExtraError(feature="the PostgreSQL destination", extra="postgres") from None
        try:
            with self._opening:
                if self._opened is None:
                    name = f"{APPLICATION_NAME} on {socket.gethostname()}"[:63]
                    self._opened = adbc_driver_postgresql.connect(self.address.conninfo(name))
            return Session(adbc_driver_manager.AdbcConnection(self._opened))
        except adbc_driver_manager.Error as error:
            refusal = Refusal.of(error)
        raise DestinationUnavailableError(
            location=self.address.location, problem=refusal.message, advice=_advice_on_opening(refusal.message)
        )

    def _locked(self, session: Session, dataset: str | None) -> DestinationLockedError:
        """The error that says who holds a dataset."""
        found: list[tuple[str, ...]] = []
        if dataset is not None:
            with suppress(StatementRefused):
                found = session.rows(sql.holders_of_lock(sql.lock_key(dataset), dataset))
        holders = [
            f"process {pid} of the server for {application!r} from {host}, {state}, in a transaction since {since}"
            for pid, application, host, state, since in found
        ]
        return DestinationLockedError(
            location=f"{self.address.location}, dataset {dataset!r}",
            holder="; ".join(holders) or "it has ended since",
            waited_seconds=self.lock_timeout_seconds,
            advice="Wait for that session or end it, by SELECT pg_terminate_backend(process), "
            "or let loads wait longer with lock_timeout_seconds.",
        )

    def _explained(self, refusal: Refusal) -> DestinationUnavailableError | DestinationRefusedError:
        state = refusal.sqlstate or ""
        advice = next((text for start, text in _ADVICE.items() if state.startswith(start)), None)
        if refusal.is_broken_session:
            return DestinationUnavailableError(
                location=self.address.location,
                problem=f"the session was lost: {refusal.message}",
                advice=advice or "Nothing was changed. Run again once the server is there.",
            )
        if advice is not None:
            return DestinationUnavailableError(
                location=self.address.location, problem=refusal.message, advice=f"Nothing was changed. {advice}"
            )
        return DestinationRefusedError(location=self.address.location, problem=refusal.message, sqlstate=state)


class _Remembering:
    """Batches that remember what went wrong while they were made: the client tells of it as an error of its own."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self.error: BaseException | None = None

    def __iter__(self) -> _Remembering:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise


@contextmanager
def _found(asked: adbc_driver_manager.AdbcStatement) -> Iterator[pa.RecordBatchReader]:
    """What a query finds."""
    import pyarrow as pa

    handle, _ = asked.execute_query()
    with pa.RecordBatchReader.from_stream(handle) as reader:
        yield reader


@contextmanager
def _midway() -> Iterator[None]:
    """What the server refuses while rows come is an error of Arrow's."""
    try:
        yield
    except OSError as error:
        raise StatementRefused(Refusal.of(error)) from None


@contextmanager
def _refusals() -> Iterator[None]:
    """Errors of the client as `StatementRefused`. What they show of rows is taken out of them for good."""
    import adbc_driver_manager

    try:
        yield
    except adbc_driver_manager.Error as error:
        refused = StatementRefused(Refusal.of(error))
        error.args = (str(refused),)
        raise refused from None


def _settings_as(settings: Mapping[str, str], *, is_local: bool) -> str:
    """Expressions that change settings, for the transaction or the session."""
    return ", ".join(
        f"set_config({literal(name)}, {literal(value)}, {str(is_local).lower()})" for name, value in settings.items()
    )


def _milliseconds(seconds: float) -> str:
    """A bound as PostgreSQL takes it; zero would mean none."""
    return f"{max(1, round(seconds * 1_000))}ms"


def _advice_on_opening(problem: str) -> str:
    if "password" in problem or "authentication" in problem or "role" in problem:
        return "Check user name and password in destination.postgres.credentials."
    if "does not exist" in problem:
        return "Create the database, or check its name in destination.postgres.credentials."
    return "Check host and port in destination.postgres.credentials, and that the server runs and takes connections."
