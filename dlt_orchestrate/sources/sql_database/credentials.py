"""Where a source database is: read from a URL, from fields or from an engine, and printed without credentials."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import Secret, learn, learn_parts, looks_secret
from dlt_orchestrate.errors import DatabaseCredentialsError, MissingExtraError

CONNECT_TIMEOUT_SECONDS = 10

_FIELDS = ("drivername", "username", "password", "host", "port", "database", "query")
_SAME_AS = {"user": "username", "dbname": "database"}


def url_of(credentials: Any) -> URL:
    """The address that credentials mean; what is secret in it is masked from now on.

    Args:
        credentials: A URL as text, secret or URL, or a mapping of its fields.

    Raises:
        DatabaseCredentialsError: They are neither.

    >>> url_of({"drivername": "postgresql", "host": "db.example", "database": "shop"})
    postgresql://db.example/shop
    """
    if isinstance(credentials, Secret):
        credentials = credentials.reveal()
    if isinstance(credentials, Mapping):
        url = _of_fields(credentials)
    elif isinstance(credentials, URL):
        url = credentials
    elif isinstance(credentials, str) and not isinstance(credentials, Placeholder) and credentials:
        url = _of_text(credentials)
    else:
        raise DatabaseCredentialsError(problem=f"they are {_kind(credentials)}")
    _learn(url)
    return _at_absolute_path(url)


def engine_url(engine: sa.Engine) -> URL:
    """The address of an engine; what is secret in it is masked from now on."""
    _learn(engine.url)
    return engine.url


def location_of(url: URL) -> str:
    """An address as messages show it.

    >>> location_of(make_url("postgresql+psycopg2://me:secret@db.example:5432/shop?sslmode=require"))
    'postgresql://db.example:5432/shop'
    """
    backend = url.get_backend_name()
    where = "" if url.host is None else f"{url.host}:{url.port}" if url.port else url.host
    return f"{backend}://{where}/{url.database or ''}"


def with_driver(url: URL) -> URL:
    """The address with the driver that this package reads it with, if it names none that is installed.

    Raises:
        MissingExtraError: There is none.
    """
    backend, driver = url.get_backend_name(), url.drivername.partition("+")[2]
    if backend == "postgresql" and driver != "adbc":
        if _is_installed("adbc_driver_postgresql"):
            return url.set(drivername="postgresql+adbc")
        if not driver and not _is_installed("psycopg2"):
            raise MissingExtraError(feature="a PostgreSQL source", extra="postgres")
    if backend in ("mysql", "mariadb") and not driver and not _is_installed("MySQLdb"):
        if not _is_installed("pymysql"):
            raise MissingExtraError(feature="a MySQL or MariaDB source", extra="mysql")
        return url.set(drivername=f"{backend}+pymysql")
    return url


def _of_text(text: str) -> URL:
    learn_parts(text)
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise DatabaseCredentialsError(problem="they are no URL of a database") from None
    backend, plus, driver = url.drivername.partition("+")
    return url.set(drivername=f"postgresql{plus}{driver}") if backend == "postgres" else url


def _of_fields(given: Mapping[str, Any]) -> URL:
    fields = {_SAME_AS.get(name, name): value for name, value in given.items() if value not in (None, "")}
    if "drivername" not in fields:
        raise DatabaseCredentialsError(problem="they have no field 'drivername', such as postgresql or mysql+pymysql")
    query = {**(fields.pop("query", None) or {}), **{name: str(fields.pop(name)) for name in set(fields) - set(_FIELDS)}}
    password = fields.get("password")
    if isinstance(password, Secret):
        fields["password"] = password.reveal()
    port = fields.get("port")
    try:
        return URL.create(**{**fields, "port": None if port is None else int(port), "query": query})
    except (TypeError, ValueError, sa.exc.ArgumentError):
        raise DatabaseCredentialsError(problem="their fields are none of a database") from None


def _at_absolute_path(url: URL) -> URL:
    """The address of a file as it is meant now, whatever the working directory is later."""
    is_file = url.get_backend_name() in ("sqlite", "duckdb") and url.database not in (None, "", ":memory:")
    if not is_file or str(url.database).startswith("file:"):
        return url
    return url.set(database=str(Path(str(url.database)).absolute()))


def _learn(url: URL) -> None:
    if url.password:
        learn(str(url.password))
    for name, value in url.query.items():
        if looks_secret(name):
            learn(value)


def _kind(credentials: Any) -> str:
    return "empty" if not credentials else f"a {type(credentials).__name__}"


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
