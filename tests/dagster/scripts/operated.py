"""A code location whose resources begin, wait, fail and go on as the files of a folder say."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

FOLDER = Path(os.environ["SIGNALS"])
SIXTY_DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-03-02")
PATIENCE_SECONDS = 600


def tell(event: str) -> None:
    """Write a line that the test reads."""
    with (FOLDER / "told").open("a") as told:
        told.write(event + "\n")


def wait_for(signal: str) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (FOLDER / signal).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(signal)
        time.sleep(0.1)


def days(name: str) -> dlt.Source:
    """A source of sixty days, one to four records each, in two resources."""

    @dlt.source(name=name)
    def source() -> Any:
        keys = SIXTY_DAYS.get_partition_keys()
        found = [{"id": 10 * day + n, "at": f"{key}T08:00:00Z"} for day, key in enumerate(keys) for n in range(day % 4 + 1)]

        @dlt.resource
        def orders(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield [dict(record) for record in found]

        @dlt.resource(primary_key="id", write_disposition="merge")
        def visits(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield [dict(record) for record in found]

        return [orders, visits]

    return source()


@dlt.source(name="queued")
def queued() -> Any:
    """Two resources that read one API, which must not be asked twice at once."""

    def resource_of(name: str) -> Any:
        @dlt.resource(name=name)
        def rows() -> Iterator[Any]:
            tell(f"{name} begins")
            wait_for("go")
            yield {"name": name}
            tell(f"{name} ends")

        return rows

    return [resource_of("first"), resource_of("second")]


@dlt.source(name="together")
def together() -> Any:
    """Resources that go on only when two runs extract at the same time."""

    def both_extract(name: str) -> None:
        (FOLDER / f"{name} {os.getpid()}").touch()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(list(FOLDER.glob(f"{name.partition(' ')[0]} *"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def resource_of(name: str) -> Any:
        @dlt.resource(name=name)
        def rows() -> Iterator[Any]:
            both_extract(f"apart {name}")
            yield {"name": name}

        return rows

    @dlt.resource
    def same(number: Any = dlt.sources.incremental("number")) -> Iterator[Any]:
        both_extract("same")
        yield [{"number": 1}, {"number": 2}]

    return [resource_of("left"), resource_of("right"), same]


@dlt.source(name="cancelled")
def cancelled() -> Any:
    """A resource that never ends, until it is told to."""

    @dlt.resource
    def endless() -> Iterator[Any]:
        tell("endless begins")
        number = 0
        while not (FOLDER / "enough").exists():
            number += 1
            yield {"number": number}
            time.sleep(0.05)
        yield [{"number": number} for number in range(3)]

    @dlt.resource
    def held() -> Iterator[Any]:
        tell("held begins")
        wait_for("locked")
        yield {"number": 1}
        tell("held ends")

    return [endless, held]


@dlt.source(name="retried")
def retried() -> Any:
    """A resource that succeeds, one that fails until it is mended, and one whose process dies right after its commit."""

    @dlt.resource
    def steady() -> Iterator[Any]:
        tell("steady is read")
        yield [{"id": 1}, {"id": 2}]

    @dlt.resource
    def broken() -> Iterator[Any]:
        yield {"id": 1}
        if not (FOLDER / "mended").exists():
            raise ConnectionError("the shop is closed")
        yield {"id": 2}

    @dlt.resource
    def killed() -> Iterator[Any]:
        tell("killed is read")
        os.environ["DLT_ORCHESTRATE_FAULT"] = "commit.after_commit:kill"
        yield [{"id": 1}, {"id": 2}]

    return [steady, broken, killed]


def dataset(name: str) -> dlt.Pipeline:
    """A pipeline into a dataset of the one DuckDB file."""
    return dlt.pipeline("warehouse", destination="duckdb", dataset_name=name)


pipeline = dataset("raw")
defs = dg.Definitions(
    assets=[
        *ingest_assets(days("whole"), dataset("whole"), partitions_def=SIXTY_DAYS, checks=["primary_key_unique"]),
        *ingest_assets(
            days("spread"),
            dataset("spread"),
            partitions_def=SIXTY_DAYS,
            backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=15),
        ),
        *ingest_assets(queued, pipeline, pool="api"),
        *ingest_assets(together, pipeline),
        *ingest_assets(cancelled, pipeline, pool="scarce"),
        *ingest_assets(retried, pipeline),
    ],
    executor=dg.in_process_executor,
)
