"""A materialization tells what its resource asked for over HTTP: how often, how often again, and how long it waited."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "http"))

from loopback import Api, Asked, FakeClock, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.helpers.rest_client import RateLimit, RESTClient


@pytest.fixture
def api() -> Iterator[Api]:
    """Three pages of teas, the second of which fails once; one page of cups."""
    server = Api()
    failed: set[str] = set()

    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 1))
        if asked.path == "/cups":
            return [{"id": 1}]
        if page == 2 and asked.path not in failed:
            failed.add(asked.path)
            return Reply(status=503, headers={"Retry-After": "0"})
        return {"items": [{"id": page}], "next": f"{asked.path}?page={page + 1}" if page < 3 else None}

    server.answer = answer
    yield server
    server.close()


def source(api: Api) -> Any:
    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        client = RESTClient(api.url, session=Session(retry=RetryPolicy(draw=lambda: 0.0)))

        @dlt.resource(primary_key="id", write_disposition="merge")
        def teas() -> Any:
            yield from client.paginate("teas")

        @dlt.resource
        def cups() -> Any:
            with requests.Session() as plain:
                yield from RESTClient(api.url, session=plain).paginate("cups")

        @dlt.resource
        def notes() -> Any:
            yield [{"id": 1}]

        @dlt.resource(parallelized=True)
        def blends() -> Any:
            @dlt.defer
            def fetch(number: int) -> Any:
                return client.get("cups", params={"n": number}).json()

            yield from map(fetch, range(4))

        return [teas, cups, notes, blends]

    return shop()


@pytest.mark.parametrize("isolation", ["resource", "source"])
def test_requests_retries_and_waits_stand_on_each_asset_as_numbers(api: Api, warehouse, instance, isolation: str) -> None:
    assets = ingest_assets(source(api), warehouse, isolation=isolation)

    result = dg.materialize(assets, instance=instance)

    told = {
        event.materialization.asset_key.path[-1].removeprefix("dlt_shop_"): event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    counts = {
        name: tuple(metadata[key].value for key in ("http_requests", "http_retries", "http_statuses"))
        for name, metadata in told.items()
        if "http_requests" in metadata
    }
    assert counts == {
        "teas": (4, 1, {"200": 3, "503": 1}),
        "cups": (1, 0, {"200": 1}),
        "blends": (4, 0, {"200": 4}),
    }
    kinds = {key: type(value) for key, value in told["teas"].items() if key.startswith("http_")}
    assert kinds == {
        "http_requests": dg.IntMetadataValue,
        "http_retries": dg.IntMetadataValue,
        "http_wait_seconds": dg.FloatMetadataValue,
        "http_answer_seconds": dg.FloatMetadataValue,
        "http_bytes": dg.IntMetadataValue,
        "http_statuses": dg.JsonMetadataValue,
    }
    assert told["teas"]["http_bytes"].value == sum(
        len(f'{{"items": [{{"id": {n}}}], "next": {following}}}')
        for n, following in ((1, '"/teas?page=2"'), (2, '"/teas?page=3"'), (3, "null"))
    )
    assert told["teas"]["http_answer_seconds"].value > 0


def test_a_run_tells_the_same_in_its_report_and_trace(api: Api, warehouse) -> None:
    info = warehouse.run(source(api).with_resources("teas", "notes"))

    teas = info.resources["teas"].http
    assert (teas.requests, teas.retries, dict(teas.statuses)) == (4, 1, {200: 3, 503: 1})
    assert info.resources["notes"].http is None
    assert str(warehouse.last_trace.last_extract_info).splitlines() == [
        "- teas: 3 record(s), 3 page(s), 4 request(s), 1 of them again",
        "- notes: 1 record(s), 1 page(s)",
    ]


def test_waiting_for_the_turn_at_a_host_is_counted(api: Api, warehouse) -> None:
    @dlt.resource
    def cups() -> Any:
        client = RESTClient(api.url, session=Session(rate_limit=RateLimit(per_second=2), clock=FakeClock()))
        for _ in range(3):
            yield client.get("cups").json()

    info = warehouse.run(cups)

    assert info.resources["cups"].http.wait_seconds == 1.0
