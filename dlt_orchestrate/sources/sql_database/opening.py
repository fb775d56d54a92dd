"""Databases, opened; SQLAlchemy is imported when the first one is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dlt_orchestrate.sources.sql_database.database import Access, Database


@contextmanager
def opened(access: Access) -> Iterator[Database]:
    """The database, until the end of the block.

    Raises:
        DatabaseCredentialsError, MissingExtraError: The credentials cannot be read, or a client is missing.
    """
    database = open_database(access)
    try:
        yield database
    finally:
        database.close()


def open_database(access: Access) -> Database:
    """The database; nothing is asked of it yet. Errors as in `opened`."""
    from dlt_orchestrate.sources.sql_database.engines import database_of

    return database_of(access)
