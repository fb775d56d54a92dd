"""PostgreSQL for SQLAlchemy through ADBC, the client that this package loads PostgreSQL with: no second driver is needed.

SQLAlchemy reflects tables and writes queries with it. ADBC has no parameters of unknown type, which the queries of the
reflection count on, so values are written into the statements, quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import URL

from dlt_orchestrate.sources.sql_database.credentials import CONNECT_TIMEOUT_SECONDS

APPLICATION_NAME = "dlt_orchestrate"
SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false), "
    "set_config('IntervalStyle', 'iso_8601', false), set_config('extra_float_digits', '1', false), "
    "set_config('standard_conforming_strings', 'on', false), set_config('bytea_output', 'hex', false)"
)
"""Makes texts of values alike, whatever server, database and role set."""


class PostgresThroughAdbc(PGDialect):
    """The dialect of PostgreSQL, with ADBC's client, in sessions without a transaction around several statements."""

    driver = "adbc"
    supports_statement_cache = True
    _backslash_escapes = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{**arguments, "paramstyle": "format"})  # type: ignore[no-untyped-call]

    @classmethod
    def import_dbapi(cls) -> Any:
        from dlt_orchestrate.sources.sql_database import adbc_client

        return adbc_client

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        of_libpq = {"connect_timeout": str(CONNECT_TIMEOUT_SECONDS), "application_name": APPLICATION_NAME, **url.query}
        address = url.set(drivername="postgresql", query=of_libpq)
        return [address.render_as_string(hide_password=False)], {}

    def on_connect(self) -> Any:
        def prepare(connection: Any) -> None:
            connection.cursor().execute(SETTINGS)

        return prepare

    def initialize(self, connection: Any) -> None:
        super().initialize(connection)  # type: ignore[no-untyped-call]
        self._backslash_escapes = False  # as SETTINGS has it

    def get_isolation_level(self, dbapi_connection: Any) -> Any:  # noqa: ARG002
        return "AUTOCOMMIT"

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:  # noqa: ARG002
        return "AUTOCOMMIT"

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        number = int(connection.exec_driver_sql("SELECT current_setting('server_version_num')").scalar())
        return number // 10_000, number % 10_000

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:  # noqa: ARG002
        cursor.execute(statement % tuple(map(literal, parameters or ())))

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:  # noqa: ARG002
        cursor.execute(statement)


def literal(value: Any) -> str:
    """A value as a statement spells it, of unknown type where it is quoted.

    >>> literal("it's"), literal(None), literal(True), literal([1, "a"])
    ("'it''s'", 'NULL', 'true', "ARRAY[1, 'a']")
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
        case float():
            return f"'{value!r}'"
        case bytes() | memoryview():
            return f"'\\x{bytes(value).hex()}'"
        case datetime() | date() | time():
            return f"'{value.isoformat()}'"
        case str() | UUID():
            doubled = str(value).replace("'", "''")
            return f"'{doubled}'"
        case Sequence():
            return f"ARRAY[{', '.join(map(literal, value))}]"
        case _:
            raise TypeError(f"a value of type {type(value).__name__} cannot be written into a query")


registry.register("postgresql.adbc", __name__, PostgresThroughAdbc.__name__)
