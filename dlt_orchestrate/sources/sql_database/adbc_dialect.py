"""PostgreSQL for SQLAlchemy through ADBC, the client that this package loads PostgreSQL with: no second driver is needed.

SQLAlchemy reflects tables and writes queries with it. ADBC has no parameters of unknown type, which the queries of the
reflection count on, so values are written into the statements, quoted.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import URL

from dlt_orchestrate.sources.sql_database.postgres_text import SESSION_PARAMETERS, SETTINGS, literal


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
        of_libpq = {**SESSION_PARAMETERS, **url.query}
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


def written(engine: sa.Engine, statement: Any) -> str:
    """A statement with its values in it: only a query without parameters can be copied."""
    compiled = statement.compile(engine, compile_kwargs={"render_postcompile": True})
    parameters = compiled.construct_params()
    if not compiled.positiontup:
        return str(compiled) % () if "%%" in str(compiled) else str(compiled)
    processors = compiled._bind_processors
    values = []
    for name in compiled.positiontup:
        value = parameters[name]
        values.append(processors[name](value) if name in processors else value)
    return str(compiled) % tuple(map(literal, values))


registry.register("postgresql.adbc", __name__, PostgresThroughAdbc.__name__)
