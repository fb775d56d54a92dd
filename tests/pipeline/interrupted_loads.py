"""Loads that never end by themselves, each waiting in another place; run in processes that a test then interrupts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt_orchestrate as dlt
from dlt_orchestrate.faults import FAULT_VARIABLE
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.http.throttle import Throttle

FOR_EVER = 1000


def ready() -> None:
    """Tell the test that the wait begins."""
    Path("ready").touch()


def page() -> list[dict[str, Any]]:
    return [{"id": number} for number in range(100)]


def in_a_retry(url: str) -> Any:
    @dlt.resource
    def asked():
        yield page()
        Session(retry=None).get(url)

    return asked


def in_a_retry_of_a_parallel_resource(url: str) -> Any:
    @dlt.source
    def two():
        def ask():
            yield page()
            Session().get(url)

        return [dlt.resource(ask, name=name, parallelized=True) for name in ("one", "two")]

    return two()


def in_a_rate_limit(url: str) -> Any:
    @dlt.resource
    def limited():
        yield page()
        session = Session(throttle=Throttle(per_second=1 / FOR_EVER))
        for _ in range(2):
            session.get(f"{url}-fine")
            ready()

    return limited


def in_a_deferred_call_that_retries(url: str) -> Any:
    @dlt.resource
    def deferred():
        yield page()
        yield dlt.defer(Session().get)(url)

    return deferred


def in_a_deferred_call_that_hears_nothing(url: str) -> Any:
    @dlt.defer
    def deaf():
        ready()
        time.sleep(FOR_EVER)

    @dlt.resource
    def deferred():
        yield page()
        yield deaf()

    return deferred


def in_an_async_resource(url: str) -> Any:
    @dlt.resource
    async def slow():
        yield page()
        ready()
        await asyncio.sleep(FOR_EVER)

    return slow


def in_code_that_swallows_the_interruption(url: str) -> Any:
    @dlt.resource
    def stubborn():
        while True:
            yield page()
            try:
                ready()
                time.sleep(FOR_EVER)
            except BaseException:  # noqa: BLE001
                pass

    return stubborn


def for_the_file(url: str) -> Any:
    @dlt.resource
    def held():
        ready()
        while not Path("held").exists():
            time.sleep(0.01)
        yield page()

    return held


def in_the_commit(url: str) -> Any:
    os.environ[FAULT_VARIABLE] = "commit.before_commit:sleep"
    return page()


WAITS: list[Callable[[str], Any]] = [
    in_a_retry,
    in_a_retry_of_a_parallel_resource,
    in_a_rate_limit,
    in_a_deferred_call_that_retries,
    in_a_deferred_call_that_hears_nothing,
    in_an_async_resource,
    in_code_that_swallows_the_interruption,
    for_the_file,
    in_the_commit,
]


def load(wait: str, folder: Path, url: str) -> None:
    """Load in a folder, spooling every batch to scratch."""
    from dlt_orchestrate.load.spool import Spool

    os.environ["HOME"] = str(folder)
    os.chdir(folder)
    Spool.__init__.__defaults__ = (1,)
    pipeline = dlt.pipeline("interrupted", destination="duckdb", dataset_name="data")
    pipeline.run({work.__name__: work for work in WAITS}[wait](url), table_name="rows")


def hold(file: Path) -> None:
    """Hold a DuckDB file."""
    import duckdb

    with duckdb.connect(str(file)):
        (file.parent / "held").touch()
        time.sleep(FOR_EVER)
