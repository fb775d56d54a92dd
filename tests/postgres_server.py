"""A PostgreSQL server for tests: the one that `DLT_ORCHESTRATE_TEST_PG` names, else a private one, started once.

A private server belongs to the process that starts it. It lives in a temporary folder, listens on a free port of loopback,
and is stopped by a guard when that process has ended, however it has. Every test gets an empty database.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from adbc_driver_postgresql import dbapi

with suppress(ImportError):  # benchmarks start the guard where there is none
    import pytest

URL_VARIABLE = "DLT_ORCHESTRATE_TEST_PG"
INSTALL = "apt-get install -y postgresql"
_SCHEMAS = r"SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')"
ACCOUNT = "postgres"
"""Whom the server runs as where the tests run as root, which it refuses to."""

_numbers = itertools.count(1)
_guards: list[subprocess.Popen[str]] = []
"""The process that has started the private server, if it is up."""
_until_the_end = ExitStack()
atexit.register(_until_the_end.close)


@contextmanager
def clean_database() -> Iterator[str]:
    """The URL of an empty database that later tests of this process get, too; cheaper than a fresh one."""
    url, connection = _shared_database()
    try:
        yield url
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_SCHEMAS)
            for (schema,) in cursor.fetchall():
                cursor.execute(f'DROP SCHEMA "{schema}" CASCADE')


@cache
def _shared_database() -> tuple[str, dbapi.Connection]:
    """A database for the whole process, and a connection to clean it with."""
    url = _until_the_end.enter_context(fresh_database())
    return url, _until_the_end.enter_context(dbapi.connect(url, autocommit=True))


def restart() -> None:
    """End the private server as a crash does, with all sessions, and start it again; skips the test without such."""
    server_url()
    if not _guards:
        pytest.skip(f"the server that {URL_VARIABLE} names is not restarted")
    _shared_database.cache_clear()  # its session ends, too
    print("restart", file=_guards[0].stdin, flush=True)
    assert _guards[0].stdout.readline() == "restarted\n"


def leave() -> None:
    """Drop what is left; called when the tests have ended."""
    _until_the_end.close()


@contextmanager
def fresh_database(*, options: str = "") -> Iterator[str]:
    """The URL of an empty database, dropped at the end.

    Args:
        options: Added to CREATE DATABASE, such as a locale.
    """
    server = server_url()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    execute(server, f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' {options}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(url: str, statement: str) -> None:
    """Run one statement that gives no rows."""
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """What a query finds."""
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


@cache
def server_url() -> str:
    """The URL of a database to connect to first; starts the private server if there is none.

    Skips the test where PostgreSQL is not installed, and fails it in CI.
    """
    given = os.environ.get(URL_VARIABLE)
    if given:
        return given
    programs = _programs()
    if programs is None:
        message = f"PostgreSQL is not installed: {INSTALL}, or name a server in {URL_VARIABLE}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return _start(programs)


def _programs() -> Path | None:
    """The folder of the server's programs: Debian keeps them out of the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin/"), key=lambda path: float(path.parent.name), default=None)


def _start(programs: Path) -> str:
    guard = subprocess.Popen(
        [sys.executable, __file__, str(programs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    _until_the_end.enter_context(guard)
    _guards.append(guard)
    url = guard.stdout.readline().strip()
    if not url:
        pytest.fail("The PostgreSQL server did not start; what it said stands above.", pytrace=False)
    return url


# --- the guard, a process of its own ---------------------------------------------------------------------------------


def guard_server(programs: Path) -> None:
    """Start a server, print its URL, restart it when told to, and stop it once standard input ends: with who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests, which end in their own way
    folder = Path(tempfile.mkdtemp(prefix="dlt-orchestrate-pg-"))
    cluster = folder / "data"
    try:
        if os.getuid() == 0:
            shutil.chown(folder, ACCOUNT, ACCOUNT)
        locale = ["-E", "UTF8", "--locale=C.UTF-8"]
        _run(programs / "initdb", "-D", cluster, "-A", "trust", "-U", "postgres", "--no-sync", *locale)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c shared_buffers=64MB -c fsync=off"
        _run(programs / "pg_ctl", "-D", cluster, "-o", settings, "-l", folder / "log", "-w", "start")
        try:
            print(f"postgresql://postgres@127.0.0.1:{port}/postgres", flush=True)
            for _ in sys.stdin:
                _run(programs / "pg_ctl", "-D", cluster, "-m", "immediate", "-l", folder / "log", "-w", "restart")
                print("restarted", flush=True)
        finally:
            _run(programs / "pg_ctl", "-D", cluster, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: object) -> None:
    """Run a program of the server, as its own account where this process is root."""
    account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if os.getuid() == 0 else {}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(list(map(str, command)), check=True, cwd="/", **quiet, **account)


if __name__ == "__main__":
    of_server = Path(sys.argv[1]) if sys.argv[1:] else _programs()
    if of_server is None:
        sys.exit(f"PostgreSQL is not installed: {INSTALL}")
    guard_server(of_server)
