"""Servers that go away, answers that break off or lie, types that change: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from loopback import Api, Asked, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PaginationError, ParentRowError, PipelineStepFailed
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.rest_api import rest_api_source
from dlt_orchestrate.testing.sample_api import SampleApi

SHOPS = [{"id": n} for n in range(1, 13)]
ORDERS_OF_ONE = 6


def orders(asked: Asked) -> Any:
    """Shops; orders of each in pages of two."""
    if asked.path == "/shops":
        return SHOPS
    shop, offset = int(asked.path.split("/")[2]), int(asked.params["offset"])
    found = [{"id": shop * 100 + n, "shop": shop, "total": n} for n in range(ORDERS_OF_ONE)]
    return {"total": ORDERS_OF_ONE, "orders": found[offset : offset + 2]}


def config(url: str, session: Any = None, **endpoint: Any) -> dict[str, Any]:
    return {
        "client": {"base_url": url, **({"session": session} if session is not None else {})},
        "resources": [
            {"name": "shops", "endpoint": {"paginator": "single_page"}},
            {
                "name": "orders",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {
                    "path": "shops/{resources.shops.id}/orders",
                    "paginator": {"type": "offset", "limit": 2},
                    "data_selector": "orders",
                    **endpoint,
                },
            },
        ],
    }


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination="duckdb", dataset_name="shop")


@pytest.fixture
def patient():
    with Session(retry=RetryPolicy(max_attempts=40, backoff_seconds=0.02, max_backoff_seconds=0.1)) as session:
        yield session


def ids(pipeline: dlt.Pipeline, table: str = "orders") -> list[int]:
    return [number for (number,) in pipeline.dataset()(f"SELECT id FROM {table} ORDER BY id").fetchall()]


ALL = [shop["id"] * 100 + n for shop in SHOPS for n in range(ORDERS_OF_ONE)]


def test_answers_that_break_off_are_asked_for_again(api: Api, pipeline: dlt.Pipeline, patient: Session) -> None:
    lock, seen = threading.Lock(), dict[str, int]()

    def breaking(asked: Asked) -> Any:
        key = f"{asked.path}?{asked.params}"
        with lock:
            seen[key] = seen.get(key, 0) + 1
        body = json.dumps(orders(asked)).encode()
        return Reply(body[: len(body) // 2], announced_bytes=len(body)) if seen[key] == 1 else Reply(body)

    api.answer = breaking

    pipeline.run(rest_api_source(config(api.url, patient)))

    assert ids(pipeline) == ALL
    assert set(seen.values()) == {2}


def test_a_server_that_is_restarted_in_the_middle_costs_no_record(pipeline: dlt.Pipeline, patient: Session) -> None:
    names = dlt.resource([{"name": "teahouse"}, {"name": "bakery"}], name="names")
    first, later = SampleApi(max_per_page=10), list[SampleApi]()
    first.start()

    def restart() -> None:
        """Take the server away, and bring it back once the client has noticed."""
        first.stop()
        retries = patient.traffic.retries
        while patient.traffic.retries == retries:
            time.sleep(0.01)
        later.append(SampleApi(port=int(first.url.rpartition(":")[2]), max_per_page=10))
        later[0].start()

    restarting = threading.Thread(target=restart)

    def passing(issue: dict[str, Any]) -> dict[str, Any]:
        if not restarting.ident:
            restarting.start()
        return issue

    source = rest_api_source(
        {
            "client": {"base_url": f"{first.url}/repos/acme", "session": patient},
            "resources": [
                names,
                {
                    "name": "issues",
                    "endpoint": {
                        "path": "{resources.names.name}/issues",
                        "params": {"state": "all", "per_page": 10},
                        "paginator": "header_link",
                        "data_selector": "$",
                    },
                    "include_from_parent": ["name"],
                    "processing_steps": [{"map": passing}],
                },
            ],
        }
    )

    try:
        pipeline.run(source)
    finally:
        restarting.join()
        later[0].stop()

    counts = pipeline.dataset()("SELECT _names_name, count(*), count(DISTINCT id) FROM issues GROUP BY 1 ORDER BY 1")
    assert counts.fetchall() == [("bakery", 120, 120), ("teahouse", 120, 120)]
    assert len(later[0].requests) > 0


def test_a_run_that_fails_at_one_child_commits_nothing_of_it_and_the_next_run_everything_once(
    api: Api, pipeline: dlt.Pipeline
) -> None:
    api.answer = lambda asked: Reply(status=400, body=b"no") if asked.path == "/shops/9/orders" else orders(asked)

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(rest_api_source(config(api.url)))

    assert "Resource 'orders', for the row of 'shops' with id=9: GET" in str(caught.value)
    assert caught.value.resources == ("orders",)
    assert ids(pipeline, "shops") == [shop["id"] for shop in SHOPS]
    api.answer = orders
    pipeline.run(rest_api_source(config(api.url)))
    assert ids(pipeline) == ALL


def test_children_that_failed_are_read_again_though_their_parent_has_moved_on(api: Api, pipeline: dlt.Pipeline) -> None:
    shops = [{**shop, "at": f"2024-01-{shop['id']:02d}"} for shop in SHOPS]

    def answer(asked: Asked) -> Any:
        if asked.path == "/shops":
            return [shop for shop in shops if shop["at"] >= asked.params.get("since", "")]
        return Reply(status=400) if is_broken and asked.path == "/shops/9/orders" else orders(asked)

    api.answer = answer
    told = config(api.url)
    told["resources"][0]["endpoint"]["incremental"] = {"cursor_path": "at", "start_param": "since"}
    is_broken = True
    with pytest.raises(PipelineStepFailed):
        pipeline.run(rest_api_source(told))
    is_broken = False

    pipeline.run(rest_api_source(told))
    assert ids(pipeline) == ALL
    assert ids(pipeline, "shops") == [shop["id"] for shop in SHOPS]

    api.asked.clear()
    pipeline.run(rest_api_source(told))
    assert [asked.params.get("since") for asked in api.asked if asked.path == "/shops"] == ["2024-01-12"]
    assert {asked.path for asked in api.asked} == {"/shops"}


def test_an_error_shows_no_field_of_a_row_that_is_named_like_a_secret(api: Api) -> None:
    api.answer = lambda asked: [{"id": 1, "api_key": "hunter2hunter2"}] if asked.path == "/shops" else Reply(status=400)
    headers = {"X-Shop": "{resources.shops.api_key}"}
    source = rest_api_source(config(api.url, headers=headers))

    with pytest.raises(ParentRowError) as caught:
        list(source.orders)

    assert "with id=1, api_key='***'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("told", [ORDERS_OF_ONE + 3, ORDERS_OF_ONE - 3])
def test_a_page_that_lies_about_its_total_loses_no_record(api: Api, pipeline: dlt.Pipeline, told: int) -> None:
    """Where the total is not trusted (`total_path: null`), pages are read until one is empty."""

    def lying(asked: Asked) -> Any:
        answer = orders(asked)
        return answer if asked.path == "/shops" else {**answer, "total": told}

    api.answer = lying
    source = rest_api_source(config(api.url, paginator={"type": "offset", "limit": 2, "total_path": None}))

    pipeline.run(source)

    assert ids(pipeline) == ALL


def test_a_total_that_is_not_reached_is_an_error_where_paging_is_detected(api: Api, pipeline: dlt.Pipeline) -> None:
    def lying(asked: Asked) -> Any:
        if asked.path == "/shops":
            return SHOPS[:1]
        page = int(asked.params.get("page", 1))
        return {"page": page, "total_pages": 2, "total_count": 9, "items": [{"id": 2 * page}, {"id": 2 * page + 1}]}

    api.answer = lying
    source = rest_api_source(config(api.url, paginator="auto", data_selector="items"))

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(source)

    assert isinstance(caught.value.exception.__cause__, PaginationError)
    assert "the API counts 9 records, and 4 were read" in str(caught.value)


def test_a_type_that_changes_between_children_keeps_every_value(api: Api, pipeline: dlt.Pipeline) -> None:
    def changing(asked: Asked) -> Any:
        answer = orders(asked)
        if asked.path in ("/shops/7/orders", "/shops/8/orders"):
            kind = str if asked.path == "/shops/7/orders" else (lambda total: {"amount": total})
            return {**answer, "orders": [{**order, "total": kind(order["total"])} for order in answer["orders"]]}
        return answer

    api.answer = changing
    pipeline.run(rest_api_source(config(api.url)))

    assert ids(pipeline) == ALL
    found = pipeline.dataset()("SELECT shop, sum(coalesce(total, total__amount)) FROM orders GROUP BY 1 ORDER BY 1")
    assert found.fetchall() == [(shop["id"], 15) for shop in SHOPS]


def test_pages_that_go_in_circles_name_the_row_that_they_are_for(api: Api, pipeline: dlt.Pipeline) -> None:
    def circling(asked: Asked) -> Any:
        if asked.path == "/shops":
            return SHOPS
        return {"total": 100, "orders": [{"id": 1}, {"id": 2}]}

    api.answer = circling

    with pytest.raises(PipelineStepFailed, match=r"for the row of 'shops' with id=1: Paging through .* same records"):
        pipeline.run(rest_api_source(config(api.url)))


def test_a_failure_does_not_wait_for_siblings_that_hang(api: Api, pipeline: dlt.Pipeline) -> None:
    """The siblings wait for a rate limit of an hour; the failure ends their waits."""
    hanging = threading.Event()

    def answer(asked: Asked) -> Any:
        if asked.path == "/shops":
            return SHOPS
        if asked.path == "/shops/1/orders":
            hanging.wait(10)
            return Reply(status=400)
        hanging.set()
        return Reply(status=429, headers={"Retry-After": "3000"})

    api.answer = answer

    with pytest.raises(PipelineStepFailed, match="id=1"):
        pipeline.run(rest_api_source(config(api.url)))

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dlt_orchestrate_children")]


CANCELLED = """
import sys
import dlt_orchestrate as dlt
from dlt_orchestrate.sources.rest_api import rest_api_source

rows = dlt.resource([{"id": n} for n in range(50)], name="rows")
source = rest_api_source({
    "client": {"base_url": sys.argv[1]},
    "resources": [rows, {"name": "parts", "endpoint": "rows/{resources.rows.id}/parts"}],
})
dlt.pipeline("cancelled", destination="duckdb").run(source.with_resources("parts"))
"""


def test_a_cancelled_run_ends_in_seconds_though_children_wait(api: Api, project: Path) -> None:
    asked_some = threading.Event()

    def answer(asked: Asked) -> Reply:
        asked_some.set()
        return Reply(status=429, headers={"Retry-After": "3000"})

    api.answer = answer
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", CANCELLED, api.url], env=environment, stderr=subprocess.PIPE) as process:
        assert asked_some.wait(60)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)

    assert process.returncode == 143, told.decode()


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (None, "its field 'id' is None, which is no part of a path; a filter in the processing_steps of 'shops' leaves"),
        ("", "its field 'id' is '', which is no part of a path"),
        ({"of": 1}, "its field 'id' is {'of': 1}, which is no part of a path"),
        ([1, 2], "its field 'id' is [1, 2], which is no part of a path"),
    ],
)
def test_what_is_no_part_of_a_path_names_the_field_and_the_way_out(api: Api, identity: Any, told: str) -> None:
    api.answer = lambda _: [{"id": identity}]
    source = rest_api_source(config(api.url))

    with pytest.raises(ParentRowError, match=re.escape(told)):
        list(source.orders)


def test_values_of_rows_are_quoted_in_paths(api: Api) -> None:
    odd = ["a b", "owner/name", "ü#?", "100%", True, 1.5]
    api.answer = lambda asked: [{"id": one} for one in odd] if asked.path == "/shops" else []

    assert list(rest_api_source(config(api.url, paginator="single_page")).orders) == []

    asked = sorted(one.path for one in api.asked[1:])
    expected = ["a%20b", "owner/name", "%C3%BC%23%3F", "100%25", "true", "1.5"]
    assert asked == sorted(f"/shops/{one}/orders" for one in expected)


def test_a_field_of_a_record_is_not_replaced_by_one_of_its_parent(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = lambda asked: [{"id": 7}] if asked.path == "/shops" else [{"id": 1, "_shops_id": "A-7"}]
    declared = config(api.url, paginator="single_page", data_selector="$")
    declared["resources"][1]["include_from_parent"] = ["id"]

    with pytest.raises(PipelineStepFailed, match=r"with id=7: a record has a field '_shops_id' of its own"):
        pipeline.run(rest_api_source(declared))


@pytest.mark.parametrize(("total", "is_capped"), [(6, True), (4, False)])
def test_a_last_page_that_is_too_short_for_its_total_is_looked_behind(
    api: Api, pipeline: dlt.Pipeline, total: int, is_capped: bool
) -> None:
    """Three records a page is the most that the server returns, whatever it is asked for; it may count wrongly, too."""
    there = [{"id": number} for number in range(6 if is_capped else 3)]

    def answer(asked: Asked) -> Any:
        start = int(asked.params["offset"])
        return {"total": total, "items": there[start : start + 3]}

    api.answer = answer
    paging = {"paginator": {"type": "offset", "limit": 6}, "data_selector": "items"}
    source = rest_api_source({"client": {"base_url": api.url}, "resources": [{"name": "items", "endpoint": paging}]})

    if is_capped:
        with pytest.raises(PipelineStepFailed, match=r"3 records came where limit=6 were asked for, and yet more followed"):
            pipeline.run(source)
    else:
        assert pipeline.run(source).resources["items"].rows_loaded == 3
    assert [one.params["offset"] for one in api.asked] == ["0", "3"]


def test_null_within_a_text_is_not_asked_for(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = lambda asked: [{"id": 1, "of": None, "is_open": True}] if asked.path == "/shops" else []

    def declared(text: str) -> Any:
        params = {"q": text, "is_open": "{resources.shops.is_open}"}
        return rest_api_source(config(api.url, paginator="single_page", params=params, incremental={"cursor_path": "at"}))

    with pytest.raises(PipelineStepFailed, match=r"field 'of' is None, and \{resources.shops.of\} stands within a text"):
        pipeline.run(declared("of:{resources.shops.of}"))
    with pytest.raises(PipelineStepFailed, match=r"\{incremental.start_value\} stands within a text and has no value yet"):
        pipeline.run(declared("at>{incremental.start_value}"))
    assert [one.path for one in api.asked] == ["/shops", "/shops"]

    pipeline.run(declared("open:{resources.shops.is_open}"))
    assert api.asked[-1].params == {"q": "open:true", "is_open": "true"}
