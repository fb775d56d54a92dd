"""Credentials that are mistyped, servers that say no: the error names what is wrong and what to mend, no password."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import duckdb
import postgres_server
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DatabaseCredentialsError, DatabaseReadError, IngestError, PipelineStepFailed
from dlt_orchestrate.sources.credentials import ConnectionStringCredentials
from dlt_orchestrate.sources.sql_database import sql_database, sql_table

PASSWORD = "s3cr3t-w0rd"


def cause_of(pipeline: dlt.Pipeline, credentials: Any, **options: Any) -> IngestError:
    """Why a run fails that reads the table `orders`; the message says nothing of the password."""
    with pytest.raises(PipelineStepFailed, match=r"Pipeline 'reading', .* resource 'orders' failed") as caught:
        pipeline.run(sql_table(credentials, "orders", **options))
    assert PASSWORD not in str(caught.value)
    assert isinstance(caught.value.__cause__, IngestError)
    return caught.value.__cause__


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"drivername": "sqlite", "databse": "shop.sqlite"}, "no field 'databse' for sqlite. Did you mean 'database'?"),
        ({"drivername": "duckdb", "databse": "shop.duckdb"}, "no field 'databse' for duckdb. Did you mean 'database'?"),
        ({"drivername": "postgresql", "hst": "db.example"}, "no field 'hst' for postgresql. Did you mean 'host'?"),
        ({"drivername": "mysql", "pasword": PASSWORD}, "no field 'pasword' for mysql. Did you mean 'password'?"),
        ({"drivername": "mysql", "chraset": "utf8mb4"}, "no field 'chraset' for mysql. Did you mean 'charset'?"),
        ({"drivername": "oracle", "usrname": "me"}, "no field 'usrname' for oracle. Did you mean 'username'?"),
        ({"drivrname": "sqlite", "database": "shop.sqlite"}, "no field 'drivrname'. Did you mean 'drivername'?"),
        ({"drivername": "postgresql", "host": "db.example", "port": "abc"}, "their 'port' is no number."),
        ({"drivername": "sqlite"}, "they name no file"),
        ("sqlite://", "they name no file"),
        ("duckdb://", "they name no file"),
        ("sqlite:///:memory:", "they name no file"),
        ("sqlite:///shop.sqlite?timeot=5", "no field 'timeot' for sqlite. Did you mean 'timeout'?"),
        ("sqlite://shop.sqlite", "its path stands behind three slashes, as in sqlite:///shop.sqlite."),
        ("postgress://db.example/shop", "there is no database 'postgress'. Did you mean 'postgresql'?"),
        ("mysql+nonesuch://db.example/shop", "there is no driver 'nonesuch' for mysql."),
    ],
)
def test_a_field_of_credentials_that_is_none_is_told_with_what_was_meant(
    given: Any, told: str, pipeline: dlt.Pipeline
) -> None:
    found = cause_of(pipeline, given)

    assert isinstance(found, DatabaseCredentialsError)
    assert told in str(found)


@pytest.mark.parametrize("names", [{"hostaddr": "127.0.0.1"}, {"sslpassword": PASSWORD}, {"krbsrvname": "x"}])
def test_an_option_that_looks_like_a_field_reaches_the_client(names: dict[str, str], pipeline: dlt.Pipeline) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]

    found = cause_of(pipeline, {"drivername": "postgresql", "host": "127.0.0.1", "port": port, **names})

    assert "Connection refused" in str(found)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("sqlite:///absent.db", "there is no such file"),
        ("sqlite:///file:absent.db?uri=true", "there is no such file"),
        ("duckdb:///absent.db", "there is no such file"),
        ("sqlite:///folder", "that is no file"),
        ("duckdb:///folder", "that is no file"),
        ("sqlite:///text.txt", "file is not a database"),
        ("duckdb:///text.txt", "it is not a valid DuckDB database file."),
    ],
)
def test_a_file_that_is_none_is_told_and_never_made(address: str, told: str, pipeline: dlt.Pipeline) -> None:
    Path("folder").mkdir()
    Path("text.txt").write_text("no database " * 1_000)

    found = cause_of(pipeline, address)

    assert isinstance(found, DatabaseReadError)
    assert told in str(found)
    assert not found.is_outage
    assert "Run again" not in str(found)
    assert not Path("absent.db").exists()


def test_a_file_of_sqlite_may_be_named_by_an_address_of_its_own(
    pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    with closing(sqlite3.connect("my shop.db")) as connection:
        connection.executescript("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (7)")

    pipeline.run(sql_table("sqlite:///file:my%20shop.db?uri=true&mode=ro", "orders"))

    assert stored("orders") == [{"id": 7}]


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def at(server: str, *, user: str | None = None, port: int | None = None, path: str | None = None, query: str = "") -> str:
    """The address of a server with something else in it."""
    known = urlsplit(server)
    netloc = f"{user or known.username}:{PASSWORD}@127.0.0.1:{port or known.port}"
    return urlunsplit(known._replace(netloc=netloc, path=path or known.path, query=query))


def test_what_a_server_refuses_is_told_with_what_to_mend_and_is_no_outage(server: str, pipeline: dlt.Pipeline) -> None:
    told = {
        at(server, user="nobody"): "Check username and password in its credentials",
        at(server, query="sslmod=require"): "sslmod" if "mysql" in server else 'parameter: "sslmod". Check the further',
    }
    if server.startswith("postgresql"):
        told |= {
            at(server, path="/nonesuch"): 'database "nonesuch" does not exist. Check the name of the database',
            at(server, query="sslmode=require"): "Check the further fields in its credentials",
        }

    for address, expected in told.items():
        found = cause_of(pipeline, address)
        assert expected in str(found)
        assert "Run again" not in str(found)
        assert not getattr(found, "is_outage", False)


def test_a_server_that_is_not_there_is_an_outage_whose_host_and_port_may_be_wrong(
    server: str, pipeline: dlt.Pipeline
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]

    found = cause_of(pipeline, at(server, port=port))

    assert isinstance(found, DatabaseReadError)
    assert found.is_outage
    assert f"127.0.0.1:{port}/" in str(found)
    assert str(found).endswith(
        "Are host and port in its credentials right? Run again when the database can be reached; "
        "nothing of this load was committed."
    )


@pytest.fixture
def guarded_url(postgres_url: str) -> Iterator[str]:
    """The address of a database whose role `reader` needs a password, though all others do without."""
    ((rules, path),) = postgres_server.rows(
        postgres_url, "SELECT pg_read_file(current_setting('hba_file')), current_setting('hba_file')"
    )

    def write(text: str) -> None:
        lines = ", ".join(f"('{line}')" for line in text.splitlines() if line and not line.startswith("#"))
        postgres_server.execute(postgres_url, f"COPY (VALUES {lines}) TO '{path}'")
        postgres_server.rows(postgres_url, "SELECT pg_reload_conf()")

    postgres_server.execute(postgres_url, "CREATE ROLE reader LOGIN PASSWORD 'right'")
    write(f"host all reader all scram-sha-256\n{rules}")
    yield postgres_url
    write(str(rules))
    postgres_server.execute(postgres_url, "DROP ROLE reader")


def test_a_password_that_is_wrong_or_missing_is_told(guarded_url: str, pipeline: dlt.Pipeline) -> None:
    wrong = at(guarded_url, user="reader")

    for address, expected in (
        (wrong, 'password authentication failed for user "reader". Check username and password'),
        (wrong.replace(f":{PASSWORD}", ""), "no password supplied. Check username and password"),
    ):
        found = cause_of(pipeline, address)
        assert expected in str(found)
        assert not found.is_outage  # type: ignore[attr-defined]


def test_a_driver_that_is_not_installed_is_told_and_postgres_needs_none(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    postgres_server.execute(postgres_url, "CREATE TABLE orders AS SELECT 7 AS id")

    pipeline.run(sql_table(postgres_url.replace("postgresql://", "postgres://"), "orders"))
    found = cause_of(pipeline, postgres_url.replace("postgresql://", "postgresql+pg8000://"), backend="sqlalchemy")

    assert stored("orders") == [{"id": 7}]
    assert "needs the package 'pg8000', which is not installed. Install it, or leave the driver out" in str(found)


def test_a_schema_that_is_not_there_is_told_with_those_that_are(server: str, tmp_path: Path) -> None:
    with closing(duckdb.connect(tmp_path / "shop.duckdb")) as connection:
        connection.execute("CREATE SCHEMA crm")
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    own = urlsplit(server).path[1:]
    known = {server: "public" if server.startswith("postgresql") else own}
    known |= {f"duckdb:///{tmp_path}/shop.duckdb": "crm", f"sqlite:///{tmp_path}/shop.sqlite": "main"}

    for address, schema in known.items():
        for tables in (None, ["order*"]):
            with pytest.raises(
                DatabaseReadError, match=rf"schema 'nonesuch': there is no such schema; there are .*'{schema}'"
            ):
                list(sql_database(address, schema="nonesuch", table_names=tables).resources)


def test_names_of_schemas_and_tables_are_told_with_what_was_meant(postgres_url: str, pipeline: dlt.Pipeline) -> None:
    for statement in ("CREATE SCHEMA sales", "CREATE TABLE sales.invoices (id int)"):
        postgres_server.execute(postgres_url, statement)

    def complaint(**options: Any) -> str:
        with pytest.raises(IngestError) as caught:
            pipeline.run(sql_database(postgres_url, **options))
        return str(caught.value)

    assert "schema 'saels': there is no such schema; there are 'public', 'sales'. Did you mean 'sales'?" in complaint(
        schema="saels", table_names=["invoices"]
    )
    assert "in schema 'sales', which has 'invoices'. Did you mean 'invoices'?" in complaint(
        schema="sales", table_names=["invoice"]
    )
    assert "no table matches 'invocies*' in schema 'sales' of postgresql://" in complaint(
        schema="sales", table_names=["invocies*"]
    )


def test_credentials_may_be_an_object_as_in_dlt(
    pipeline: dlt.Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.executescript("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1)")
    by_field = ConnectionStringCredentials()
    by_field.drivername, by_field.database = "sqlite", str(tmp_path / "shop.sqlite")
    of_url = ConnectionStringCredentials(f"postgresql+psycopg2://me:{PASSWORD}@db.example:5432/shop?sslmode=require")
    monkeypatch.setenv("SOURCES__BY_CONFIGURATION__ASKING__DSN", f"sqlite:///{tmp_path}/shop.sqlite")

    @dlt.resource(section="by_configuration")
    def asking(dsn: ConnectionStringCredentials = dlt.secrets.value) -> Iterator[Any]:
        yield {"is_file": dsn.database == by_field.database, "text": dsn.to_native_representation()[:9]}

    pipeline.run([sql_table(by_field, "orders"), asking])

    assert pipeline.dataset().orders.select("id").fetchall() == [(1,)]
    assert pipeline.dataset().asking.select("is_file", "text").fetchall() == [(True, "sqlite://")]
    assert (of_url.username, of_url.port, of_url["query"]["sslmode"]) == ("me", 5432, "require")
    assert of_url.to_url().password == PASSWORD
    assert PASSWORD not in f"{of_url} {of_url!r}"
    of_url.port = "54x2"
    assert f"{of_url!r} {ConnectionStringCredentials()!r}" == (
        "ConnectionStringCredentials('***') ConnectionStringCredentials('')"
    )
    with pytest.raises(AttributeError, match="have no 'databse'; they have drivername"):
        print(of_url.databse)
