"""Errors of databases, told without what they show of credentials, statements and rows."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.errors import DatabaseReadError, IngestError

_OF_CLIENT = re.compile(r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:Failed to [^:]+: )?(?:connection to server .+? failed: )?")
_SEVERITY = re.compile(r"(?:ERROR|FATAL|PANIC):\s+")
_QUERY = re.compile(r"\s*(?:LINE \d+:|Query was:|\[SQL:|\(Background on).*", re.DOTALL)

_OF_CONNECTIONS = ("OperationalError", "InterfaceError", "IOException", "ConnectionException", "TimeoutError")
"""Names of the errors of drivers that a connection, or the server, is the cause of."""

_OF_SQLITE = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR))
"""Errors of SQLite that go by; most of the others are operational errors, too, such as an unknown table."""
_PRIMARY = 0xFF
"""The bits of a code of SQLite without those that refine it."""

_LOGIN, _NAME, _OPTION = (
    "Check username and password in its credentials, and what the user may do.",
    "Check the name of the database in its credentials.",
    "Check the further fields in its credentials, which are the query of a URL.",
)
_WHERE = "Are host and port in its credentials right?"
_ADVICE_OF_MYSQL = {
    **dict.fromkeys((1044, 1045, 1698), _LOGIN),
    1049: _NAME,
    2003: _WHERE,
    2026: _OPTION,
    errno.ENOENT: "Check the paths of files in its credentials, such as ssl_ca.",
}
_ADVICE = (
    (re.compile(r"authentication failed|no password supplied|\brole .* does not exist|pg_hba\.conf|not permitted"), _LOGIN),
    (re.compile(r'^database ".*" does not exist'), _NAME),
    (re.compile(r"invalid URI query parameter|invalid \S+ value|\bSSL\b|certificate"), _OPTION),
    (re.compile(r"Connection refused|could not translate host name|timeout expired|No route to host"), _WHERE),
)
"""By what the client of PostgreSQL says of a connection: it gives no code. Servers of other languages are outages."""

_OF_MYSQL_SERVER = range(1_000, 2_000)
_OUTAGES_OF_MYSQL = frozenset((1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 1927))
"""Numbers of errors of the server that go by: too many connections, a shutdown, a killed session, locks."""


@contextmanager
def told(location: str, what: str) -> Iterator[None]:
    """Raise what a driver raises inside as an error that names database and table.

    Args:
        location: Where the database is, without credentials.
        what: What is done, such as `table 'orders'`.

    Raises:
        DatabaseReadError: In place of errors of drivers.
    """
    try:
        yield
    except (IngestError, GeneratorExit):
        raise
    except Exception as error:
        if not _is_of_driver(error):
            raise
        advice = _advice(error)
        raise DatabaseReadError(
            location=location,
            what=what,
            problem=_message(error),
            is_outage=advice in ("", _WHERE) and _is_outage(error),
            advice=advice,
        ) from None


def _is_of_driver(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True  # what the server says while rows come reaches us through Arrow
    homes = {kind.__module__.partition(".")[0].lstrip("_") for kind in type(error).__mro__}
    return bool(homes & {"sqlalchemy", "adbc_driver_manager", "duckdb", "sqlite3", "pymysql", "MySQLdb", "pyarrow"})


def _advice(error: Exception) -> str:
    """What to mend in the credentials; empty if it is nothing there."""
    innermost = getattr(error, "orig", None) or error
    number = innermost.args[0] if innermost.args else None
    if isinstance(number, int):
        return _ADVICE_OF_MYSQL.get(number, "")
    if "Failed to connect" not in str(innermost):
        return ""
    said = _message(error)
    return next((advice for pattern, advice in _ADVICE if pattern.search(said)), "")


def _is_outage(error: Exception) -> bool:
    innermost = getattr(error, "orig", None) or error
    if type(innermost) is OSError:
        return "SQLSTATE" not in str(innermost) or "SQLSTATE: 57P" in str(innermost)
    if isinstance(innermost, sqlite3.Error):
        return getattr(innermost, "sqlite_errorcode", 0) & _PRIMARY in _OF_SQLITE
    if type(innermost).__name__ == "IOException":
        return "lock" in str(innermost)  # of DuckDB, which says the same of what is no file of its own
    number = innermost.args[0] if innermost.args else None
    if isinstance(number, int) and number in _OF_MYSQL_SERVER and number not in _OUTAGES_OF_MYSQL:
        return False  # such as an unknown column, which PyMySQL takes for an operational error, too
    return any(kind.__name__ in _OF_CONNECTIONS for kind in type(innermost).__mro__)


def _message(error: Exception) -> str:
    """The first thing that the server, or its client, says."""
    innermost = getattr(error, "orig", None) or error
    arguments = innermost.args
    is_numbered = len(arguments) > 1 and isinstance(arguments[0], int)  # as the drivers of MySQL do
    text = f"{arguments[1]} ({arguments[0]})" if is_numbered else str(innermost)
    text = _QUERY.sub("", text)
    severity = _SEVERITY.search(text)
    text = text[severity.end() :] if severity else _OF_CLIENT.sub("", text)
    lines = text.strip().splitlines()
    return redact(lines[0].strip().rstrip(".!") if lines else type(innermost).__name__)
