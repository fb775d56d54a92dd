"""The choice of who answers for an address, and the engines of SQLAlchemy that do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from dlt_orchestrate.errors import DatabaseCredentialsError, DatabaseReadError
from dlt_orchestrate.sources.sql_database.credentials import (
    FILES,
    engine_url,
    file_of,
    location_of,
    unknown_database,
    url_of,
    with_driver,
)
from dlt_orchestrate.sources.sql_database.database import Access, Database
from dlt_orchestrate.sources.sql_database.engine_database import EngineDatabase


def database_of(access: Access) -> Database:
    """The database; nothing is asked of it yet. Errors as in `opened`."""
    credentials = access.credentials
    if isinstance(credentials, sa.Engine):
        return EngineDatabase(_adapted(credentials, access), location_of(engine_url(credentials)), owns_engine=False)
    url = url_of(credentials, access.root)
    _expect_file(url, access)
    if url.drivername == "duckdb":
        from dlt_orchestrate.sources.sql_database.duckdb_database import DuckDBDatabase

        return DuckDBDatabase(url)
    if url.get_backend_name() == "postgresql":
        url = url if access.prefers_rows and "+" in url.drivername else with_driver(url)
    else:
        url = with_driver(url)
    engine = _shared_engine(url) if not access.engine_arguments else _engine(url, access.engine_arguments)
    return EngineDatabase(_adapted(engine, access), location_of(url), owns_engine=bool(access.engine_arguments))


@lru_cache(maxsize=8)
def _shared_engine(url: URL) -> sa.Engine:
    """The engine of an address: it remembers the queries that it has written, for the next table."""
    return _engine(url, {})


def _engine(url: URL, arguments: Mapping[str, Any]) -> sa.Engine:
    # A pool would keep connections that nobody needs between two tables, for whole days in a Dagster process.
    try:
        return sa.create_engine(url, **{"poolclass": sa.pool.NullPool, **arguments})
    except sa.exc.NoSuchModuleError:
        raise unknown_database(url) from None
    except ModuleNotFoundError as error:
        raise DatabaseReadError(
            location=location_of(url),
            what="a connection",
            problem=f"its driver needs the package {error.name!r}, which is not installed",
            advice=f"Install it, or leave the driver out: {url.get_backend_name()}://...",
        ) from None


def _expect_file(url: URL, access: Access) -> None:
    """Refuse what is no file that is there: an empty database would be made of it, in memory or on disk."""
    if url.get_backend_name() not in FILES:
        return
    backend, path = url.get_backend_name(), file_of(url)
    if url.host or url.username:
        raise DatabaseCredentialsError(
            problem=f"a file has no host; its path stands behind three slashes, as in {backend}:///shop.{backend}",
            is_nearly_right=True,
        )
    is_shared = str(url.database).startswith("file:")  # memory that others of this process fill
    if path is None and access.is_plain and not is_shared:
        raise DatabaseCredentialsError(
            problem=f"they name no file, as the field 'database' or in {backend}:///shop.{backend}, and a database in "
            "memory is empty",
            is_nearly_right=True,
        )
    if path is not None and not path.is_file():
        start = "the working directory" if access.root is None else f"the project's folder, {access.root}"
        raise DatabaseReadError(
            location=location_of(url),
            what="a connection",
            problem="that is no file" if path.exists() else "there is no such file",
            advice=f"Correct the path; a relative one begins in {start}.",
        )


def _adapted(engine: sa.Engine, access: Access) -> sa.Engine:
    adapted = access.adapt_engine(engine) if access.adapt_engine is not None else None
    return engine if adapted is None else adapted
