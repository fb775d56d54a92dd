"""A pipeline run against a hostile API: nothing half committed, siblings unharmed, and the next run is right."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import Behaviour, HostileServer, answer, drip, flood, gzip_bomb, head
from loopback import Asked

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.guard import PageLimits
from dlt_orchestrate.http.paginators import JSONResponseCursorPaginator
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session

SECRET = "marked-secret-3141"
ORDERS = [{"id": n, "at": n, "lines": [{"sku": f"s{n}"}]} for n in range(1, 7)]


def page(asked: Asked) -> list[bytes]:
    """Two orders a page, from the cursor on."""
    start = int(asked.params.get("cursor", 0))
    rows = [order for order in ORDERS if order["at"] >= int(asked.params["since"])]
    following = str(start + 2) if start + 2 < len(rows) else None
    return [answer({"items": rows[start : start + 2], "next": following})]


HOSTILITIES: dict[str, tuple[Behaviour, str]] = {
    "cut": (lambda _: [answer(b'{"items": [{"id"', length=900)], "the answer broke off or was damaged"),
    "invalid": (lambda _: [answer(b'{"items": [{"id": 3, "at": 3}')], "is not valid JSON"),
    "login page": (lambda _: [answer(b"<html>Sign in", "Content-Type: text/html")], "a login or an error page"),
    "slow": (drip(head()), "was not complete within request_attempt_seconds=1"),
    "bomb": (lambda _: [answer(gzip_bomb(40), "Content-Encoding: gzip")], "larger than max_body_bytes=10000000"),
    "head without end": (flood(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000), "request_max_header_bytes=262144"),
    "into the network": (
        lambda _: [answer(b"", "Location: http://169.254.169.254/latest/meta-data/", status="302 Found")],
        "leads to 169.254.169.254: not public",
    ),
    "circle": (
        lambda _: [answer({"items": ORDERS[:2], "next": "2"})],
        "a page holds the same records as the one before it",
    ),
    "down": (lambda _: [answer(b"", "Retry-After: 999999999999999999999", status="503 Down")], "max_wait_seconds=3600"),
}


@pytest.mark.parametrize(("behave", "words"), HOSTILITIES.values(), ids=HOSTILITIES.keys())
def test_a_resource_on_a_hostile_api_fails_alone_and_the_next_run_is_right(
    project: Path, hostile: HostileServer, behave: Behaviour, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def source(session: Session) -> list[Any]:
        @dlt.resource(primary_key="id", write_disposition="merge")
        def orders(at: dlt.sources.incremental[int] = dlt.sources.incremental("at", initial_value=0)) -> Iterator[Any]:
            yield from paginate(
                f"{hostile.url}/orders",
                params={"since": at.last_value, "api_key": SECRET},
                paginator=JSONResponseCursorPaginator("next"),
                session=session,
            )

        return [orders, dlt.resource([{"id": 1}], name="customers")]

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data")
    retry = RetryPolicy(max_attempts=2, backoff_seconds=0)
    with Session(attempt_seconds=1 if "seconds=1" in words else 60, max_body_bytes=10_000_000, retry=retry) as session:
        hostile.behave = lambda asked: behave(asked) if asked.params.get("cursor") == "2" else page(asked)
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(source(session))

        message = str(caught.value)
        assert message.startswith("Pipeline 'shop', step 'extract', resource 'orders' failed. ")
        assert words in message
        assert message.endswith("\nCommitted all the same: 'customers'.")
        assert caught.value.resources == ("orders",)
        assert list(caught.value.load_info.resources) == ["customers"]
        assert pipeline.dataset().row_counts() == {"customers": 1}

        hostile.behave = page
        before = len(hostile.asked)
        pipeline.run(source(session)[0])

    assert hostile.asked[before].params["since"] == "0"
    assert pipeline.dataset().row_counts() == {"customers": 1, "orders": 6, "orders__lines": 6}
    assert SECRET not in message + caplog.text


def test_a_limit_that_is_reached_fails_and_moves_no_cursor(project: Path, hostile: HostileServer) -> None:
    hostile.behave = page

    def orders(limits: PageLimits) -> Any:
        @dlt.resource(write_disposition="append")
        def orders(at: dlt.sources.incremental[int] = dlt.sources.incremental("at", initial_value=0)) -> Iterator[Any]:
            yield from paginate(
                hostile.url,
                params={"since": at.last_value},
                paginator=JSONResponseCursorPaginator("next"),
                limits=limits,
            )

        return orders

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data")
    for limits, name in ((PageLimits(max_pages=2), "max_pages"), (PageLimits(max_requests=2), "max_requests")):
        with pytest.raises(PipelineStepFailed, match=rf"resource 'orders' failed.*and there are more; {name} is 2"):
            pipeline.run(orders(limits))

    pipeline.run(orders(PageLimits(max_pages=3)))

    assert pipeline.dataset().row_counts() == {"orders": 6, "orders__lines": 6}


def test_addresses_in_records_cannot_send_a_transformer_into_the_network(
    project: Path, hostile: HostileServer, session: Session
) -> None:
    hostile.behave = lambda _: [answer([{"id": 1, "details": "http://169.254.169.254/latest/"}])]
    from dlt_orchestrate.http.client import RESTClient

    client = RESTClient(hostile.url, session=session)
    items = dlt.resource(lambda: client.paginate("items"), name="items")
    details: Callable[..., Any] = dlt.transformer(
        lambda rows: [client.get(row["details"]).json() for row in rows], name="details", data_from=items
    )
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data")

    with pytest.raises(PipelineStepFailed, match=r"resource 'details' failed.*169\.254\.169\.254: not public"):
        pipeline.run([items, details])

    assert pipeline.dataset().row_counts() == {"items": 1}


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("EXTRACT__MAX_PAGES", "20", r"'endless' yields more pages than max_pages=20 of section \[extract\] allows"),
        ("EXTRACT__MAX_SECONDS", "0.2", r"'endless' takes longer than max_seconds=0\.2 of section \[extract\] allows"),
    ],
)
def test_a_resource_without_end_fails_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, words: str
) -> None:
    monkeypatch.setenv(setting, value)

    @dlt.resource
    def endless() -> Iterator[list[dict[str, int]]]:
        for number in itertools.count():
            yield [{"id": number}]

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data")

    with pytest.raises(PipelineStepFailed, match=words) as caught:
        pipeline.run([endless, dlt.resource([{"id": 1}], name="customers")])

    assert "Nothing of it was committed" in str(caught.value)
    assert pipeline.dataset().row_counts() == {"customers": 1}
