"""Where a source database is: read from a URL, from fields or from an engine, and printed without credentials."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import Secret, learn, learn_parts, looks_secret
from dlt_orchestrate.config.spelling import ALIKE, meant, nearest
from dlt_orchestrate.errors import DatabaseCredentialsError, MissingExtraError

URL_FIELDS = ("drivername", "username", "password", "host", "port", "database", "query")
_SAME_AS = {"user": "username", "dbname": "database"}
FIELDS = frozenset((*URL_FIELDS, *_SAME_AS))
"""Of an address; whatever else stands beside them is an option of the client."""
FILES = ("sqlite", "duckdb")
"""Databases that are files."""
_URI = "file:"
"""What the name of a SQLite file begins with that is an address itself."""
_MYSQL = ("mysql", "mariadb")
_BACKENDS = ("postgresql", *_MYSQL, *FILES, "mssql", "oracle")
"""Those that SQLAlchemy knows without further packages, and DuckDB."""

_OF_SQLALCHEMY = ("plugin",)
_OF_SQLITE = frozenset(("uri", "timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"))
_OF_SQLITE_URI = frozenset(("mode", "cache", "immutable", "nolock", "psow", "vfs"))
_OF_MYSQL = frozenset(("ssl_capath", "ssl_cipher", "ssl_check_hostname"))
"""What SQLAlchemy takes for PyMySQL beside the arguments of that."""


def url_of(credentials: Any, root: Path | None = None) -> URL:
    """The address that credentials mean; what is secret in it is masked from now on.

    Args:
        credentials: A URL as text, secret or URL, or a mapping of its fields.
        root: The folder that the relative path of a file lies in; the working directory by default.

    Raises:
        DatabaseCredentialsError: They are neither, or they have a field that their database does not.

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
    expect_options(url.query, url.drivername)
    return _at_absolute_path(url, root or Path())


def expect_options(names: Iterable[str], drivername: str = "") -> None:
    """Refuse further fields that the client of a database does not know, or that are slips of those of an address.

    Whatever is no field of an address is an option of the client. Not all clients are known here: of theirs, only names
    that are hardly anything else than a field are told.

    Raises:
        DatabaseCredentialsError: There is one.
    """
    names = list(names)
    backend, _, driver = drivername.partition("+")
    known = _options_of(backend, driver, names)
    fields = [*URL_FIELDS, *_SAME_AS]
    for name in names:
        is_wrong = nearest(name, fields, ALIKE) is not None if known is None else name not in known
        if is_wrong and name not in (fields if known is None else _OF_SQLALCHEMY):
            options = sorted(known or ())
            hint = meant(name, URL_FIELDS if nearest(name, options) is None else [*URL_FIELDS, *options])
            of = f" for {backend}" if backend else ""
            raise DatabaseCredentialsError(problem=f"they have no field {name!r}{of}. {hint}", is_nearly_right=True)


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
    if backend in _MYSQL and not driver and not _is_installed("MySQLdb"):
        if not _is_installed("pymysql"):
            raise MissingExtraError(feature="a MySQL or MariaDB source", extra="mysql")
        return url.set(drivername=f"{backend}+pymysql")
    return url


def unknown_database(url: URL) -> DatabaseCredentialsError:
    """The error for a URL whose beginning is no database, or no driver, that SQLAlchemy finds."""
    backend, _, driver = url.drivername.partition("+")
    if driver and backend in _BACKENDS:
        return DatabaseCredentialsError(
            problem=f"there is no driver {driver!r} for {backend}. Install its package, or name another one",
            is_nearly_right=True,
        )
    hint = meant(backend, _BACKENDS)
    return DatabaseCredentialsError(problem=f"there is no database {backend!r}. {hint}", is_nearly_right=True)


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
    further = {name: fields.pop(name) for name in list(fields) if name not in URL_FIELDS}
    expect_options(further, str(fields.get("drivername", "")))
    if "drivername" not in fields:
        raise DatabaseCredentialsError(problem="they have no field 'drivername', such as postgresql or mysql+pymysql")
    query = {**(fields.pop("query", None) or {}), **{name: str(value) for name, value in further.items()}}
    password = fields.get("password")
    if isinstance(password, Secret):
        fields["password"] = password.reveal()
    try:
        port = None if fields.get("port") is None else int(fields["port"])
    except (TypeError, ValueError):
        raise DatabaseCredentialsError(problem="their 'port' is no number", is_nearly_right=True) from None
    try:
        return URL.create(**{**fields, "port": port, "query": query})
    except (TypeError, ValueError, sa.exc.ArgumentError):
        raise DatabaseCredentialsError(problem="their fields are none of a database") from None


def _options_of(backend: str, driver: str, names: Iterable[str]) -> frozenset[str] | None:
    """All further fields that a database knows; None if they are not known here."""
    if backend == "duckdb" and not driver:
        return frozenset()
    if backend == "sqlite" and driver in ("", "pysqlite"):
        return _OF_SQLITE | _OF_SQLITE_URI if "uri" in names else _OF_SQLITE
    is_pymysql = driver == "pymysql" or (not driver and not _is_installed("MySQLdb"))
    if backend in _MYSQL and is_pymysql and _is_installed("pymysql"):
        from pymysql.connections import Connection

        return _OF_MYSQL.union(inspect.signature(Connection).parameters)
    return None


def _at_absolute_path(url: URL, root: Path) -> URL:
    """The address of a file as it is meant now, whatever the working directory is later."""
    if file_of(url) is None:
        return url
    written = str(url.database)
    path, scheme = written.removeprefix(_URI), _URI if written.startswith(_URI) else ""
    return url.set(database=f"{scheme}{(root / path).absolute()}")


def file_of(url: URL) -> Path | None:
    """The file that an address leads to; None if it leads to a server, or into memory."""
    database = url.database or ""
    path = unquote(database.removeprefix(_URI)) if database.startswith(_URI) else database
    is_file = url.get_backend_name() in FILES and path not in ("", ":memory:") and url.query.get("mode") != "memory"
    return Path(path) if is_file else None


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
