"""Opening a DuckDB file and waiting for it.

One process at a time may hold a DuckDB file, so connections are opened late and closed at once; another process that
holds it is waited for, with growing pauses, up to a set time. Within this process commits to one file take turns.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dlt_orchestrate.errors import DestinationLockedError, DestinationUnavailableError
from dlt_orchestrate.protocols.clock import Clock
from dlt_orchestrate.protocols.interruption import interruption

if TYPE_CHECKING:
    import duckdb

FIRST_PAUSE_SECONDS = 0.05
LONGEST_MAKING_SECONDS = 1.0
HEADER_BYTES = 3 * 4096
"""What DuckDB writes first into a file that it makes: a file that is shorter may be one in the making."""
LONGEST_PAUSE_SECONDS = 2.0

_turns: dict[str, threading.RLock] = {}
_turns_guard = threading.Lock()


class DuckDBFile:
    """One DuckDB database file.

    Attributes:
        path: Absolute path of the file; None for a private database in memory, which tests use.
        lock_timeout_seconds: How long to wait for a file that another process holds.
        memory_limit: DuckDB's own limit, as text such as `1GB`.
        threads: Threads of DuckDB while it writes.
    """

    def __init__(self, path: Path, *, lock_timeout_seconds: float, memory_limit: str, threads: int, clock: Clock) -> None:
        self.path = path
        self.lock_timeout_seconds = lock_timeout_seconds
        self.memory_limit = memory_limit
        self.threads = threads
        self._clock = clock

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn among the commits of this process to this file."""
        with _turns_guard:
            lock = _turns.setdefault(str(self.path), threading.RLock())
        with lock:
            yield

    @contextmanager
    def turn_to_read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in the turn of this process, for a short look before a commit; errors as in `connection`."""
        with self.turn(), self.connection() as connection:
            yield connection

    @contextmanager
    def turn_to_write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in the turn of this process, for a commit, with the set number of threads.

        They belong to the open database, not to a connection: who else of this process has it open gets them back.
        Else they stay until it closes, which writes what is left to be written. Errors as in `connection`.
        """
        with self.turn(), self.connection() as connection:
            before = connection.execute("SELECT current_setting('threads')").fetchall()[0][0]
            connection.execute(f"SET threads = {self.threads}")
            try:
                yield connection
            finally:
                if connection.execute("FROM duckdb_connection_count()").fetchall()[0][0] > 1:
                    connection.execute(f"SET threads = {before}")

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection, closed at the end.

        Raises:
            DestinationLockedError: Another process held the file for longer than the set time.
            DestinationUnavailableError: The file cannot be opened or created.
        """
        connection = self._opened()
        try:
            connection.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{self.memory_limit}'")
            yield connection
        except RuntimeError as error:
            # DuckDB drops what a signal handler raises during a query, and raises this instead.
            if str(error) != "Query interrupted":
                raise
            raise interruption().cause or KeyboardInterrupt from error
        finally:
            connection.close()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        started = self._clock.monotonic()
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return duckdb.connect(str(self.path))
            except duckdb.Error as error:
                waited = self._clock.monotonic() - started
                being_made = waited < LONGEST_MAKING_SECONDS and self._lacks_header(error)
                if not being_made and self._was_never_made(error):
                    self.path.unlink(missing_ok=True)
                    continue
                if not _is_lock(error) and not being_made:
                    raise self._unavailable(error) from error
                if waited >= self.lock_timeout_seconds:
                    raise DestinationLockedError(
                        location=str(self.path), holder=_holder(str(error)), waited_seconds=waited
                    ) from error
            self._clock.sleep(min(pause * (0.5 + random.random()), self.lock_timeout_seconds - waited))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _lacks_header(self, error: Exception) -> bool:
        """Whether the file may be one that another process has begun to make, and not locked yet."""
        is_short = "not a valid DuckDB" in str(error) or "Could not read enough bytes" in str(error)
        return is_short and self.path.exists() and self.path.stat().st_size < HEADER_BYTES

    def _was_never_made(self, error: Exception) -> bool:
        """Whether the maker of the file died before it held anything: it begins as DuckDB's do, and ends in its headers."""
        return self._lacks_header(error) and self.path.read_bytes()[8:12] == b"DUCK"

    def _unavailable(self, error: Exception) -> DestinationUnavailableError:
        problem = str(error).splitlines()[0]
        if not self.path.parent.is_dir():
            problem, advice = f"the folder {self.path.parent} does not exist", "Create it, or change the path."
        elif "not a valid DuckDB" in problem:
            advice = "The file holds something else: choose another path."
        elif "Unique file handle conflict" in problem:
            advice = "This process has the file attached to another database: detach it before the load."
        elif "different configuration" in problem:
            advice = "This process has the file open with other settings, such as read_only=True: close that connection."
        else:
            advice = "Check the path, its permissions and the free space on the disk."
        return DestinationUnavailableError(location=str(self.path), problem=problem.rstrip(".!"), advice=advice)


def _is_lock(error: Exception) -> bool:
    """Whether another process has the file open, and that may end."""
    return "Could not set lock on file" in str(error) or "being used by another process" in str(error)


def _holder(message: str) -> str:
    """What DuckDB says of the process that holds the file, such as `/usr/bin/python3.11 (PID 4711)`."""
    found = re.search(r"held in (.+?)(?: by user|\. )", message)
    return found[1] if found else "its name is not known"
