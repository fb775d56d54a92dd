"""A MariaDB server for tests: the one that `DLT_ORCHESTRATE_TEST_MARIADB` names, else a private one, started once.

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
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pymysql
import pytest

URL_VARIABLE = "DLT_ORCHESTRATE_TEST_MARIADB"
INSTALL = "apt-get install -y mariadb-server"
ACCOUNT = "mysql"
"""Whom the server runs as where the tests run as root."""
START_SECONDS = 120
LOCK_SECONDS = 20

_numbers = itertools.count(1)
_guards: list[subprocess.Popen[str]] = []
"""The process that has started the private server, if it is up."""
_until_the_end = ExitStack()
atexit.register(_until_the_end.close)


@contextmanager
def mariadb_database() -> Iterator[str]:
    """The URL of an empty database, dropped at the end."""
    server = mariadb_url()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    execute(server, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        execute(server, f"DROP DATABASE `{name}`")


def execute(url: str, *statements: str) -> None:
    """Run statements that give no rows, and commit."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SET lock_wait_timeout = {LOCK_SECONDS}"
        )  # a table that is still being read is an error of the test
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def connect(url: str) -> pymysql.Connection:
    """A connection of the driver."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.removeprefix("/") or None,
    )


def restart() -> None:
    """Kill the private server, with all sessions, and start it again; skips the test if the server is not private."""
    url = mariadb_url()
    if not _guards:
        pytest.skip(f"the server that {URL_VARIABLE} names is not restarted")
    execute(url, "FLUSH ENGINE LOGS")  # it keeps what was committed for a second, which a killed one would lose
    print("restart", file=_guards[0].stdin, flush=True)
    assert _guards[0].stdout.readline() == "restarted\n"


def leave() -> None:
    """Stop the server; called when the tests have ended."""
    _until_the_end.close()


@cache
def mariadb_url() -> str:
    """The URL of the server; starts the private one if none is named.

    Skips the test where MariaDB is not installed, and fails it in CI.
    """
    given = os.environ.get(URL_VARIABLE)
    if given:
        return given
    programs = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("mariadbd", "mariadb-install-db")]
    if None in programs:
        message = f"MariaDB is not installed: {INSTALL}, or name a server in {URL_VARIABLE}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    guard = subprocess.Popen(
        [sys.executable, __file__, *programs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    _until_the_end.enter_context(guard)
    _guards.append(guard)
    url = guard.stdout.readline().strip()
    if not url:
        pytest.fail("The MariaDB server did not start; what it said stands above.", pytrace=False)
    return url


# --- the guard, a process of its own ---------------------------------------------------------------------------------


def guard_server(server: str, installer: str) -> None:
    """Start a server, print its URL, restart it when told to, and stop it once standard input ends: with who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests, which end in their own way
    folder = Path(tempfile.mkdtemp(prefix="dlt-orchestrate-mariadb-"))
    try:
        is_root = os.getuid() == 0
        if is_root:
            shutil.chown(folder, ACCOUNT, ACCOUNT)
        account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if is_root else {}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        log = folder / "log"
        install = [installer, "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal"]
        install += ["--skip-test-db", f"--tmpdir={folder}", "--innodb-log-file-size=4M"]
        subprocess.run(install, check=True, cwd="/", stderr=subprocess.DEVNULL, **account, **quiet)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = [
            "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/socket", f"--pid-file={folder}/pid",
            f"--port={port}", "--bind-address=127.0.0.1", f"--log-error={log}", f"--tmpdir={folder}",
            "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0",
            "--skip-log-bin", "--skip-name-resolve", "--performance-schema=OFF", "--key-buffer-size=1M",
        ]  # fmt: skip
        running = subprocess.Popen([server, *options], cwd="/", **account, **quiet)
        try:
            url = f"mysql://root@127.0.0.1:{port}/"
            _wait_for(url, running, log)
            print(url, flush=True)
            for _ in sys.stdin:
                running.kill()
                running.wait()
                running = subprocess.Popen([server, *options], cwd="/", **account, **quiet)
                _wait_for(url, running, log)
                print("restarted", flush=True)
        finally:
            running.kill()
            running.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            return connect(url).close()
        except pymysql.OperationalError:
            if running.poll() is not None or time.monotonic() > until:
                sys.stderr.write(log.read_text() if log.exists() else "The server wrote no log.")
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    guard_server(*sys.argv[1:])
