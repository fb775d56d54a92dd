"""Pages that go straight from a paginator to the load are read as typed rows, to the same end and unseen by others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from loopback import Api, Asked, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.http.client import RESTClient, paginate
from dlt_orchestrate.http.paginators import JSONLinkPaginator, JSONResponseCursorPaginator, PageNumberPaginator
from dlt_orchestrate.http.paging import PageData

RECORDS = [
    {
        "id": n,
        "at": f"2024-01-{1 + n // 2:02d}",
        "price": n / 4,
        "user": {"name": f"u{n}"},
        "tags": ["x"] * (n % 3),
        "note": None,
    }
    for n in range(24)
]
RECORDS[13]["new"] = "a key that comes late"  # in the fourth page of six
REFUSED = {"page: records of another shape": 1}


@pytest.fixture
def url(api: Api) -> str:
    """An API of four records a page, from a record on if that is asked for."""

    def answer(asked: Asked) -> Reply:
        page = int(asked.params.get("page", 1))
        records = [record for record in RECORDS if record["at"] >= asked.params.get("since", "")]
        head = {"Content-Type": "application/json"}
        if page * 4 < len(records):
            since = f"&since={asked.params['since']}" if "since" in asked.params else ""
            head["Link"] = f'<{api.url}/items?page={page + 1}{since}>; rel="next"'
        return Reply(json.dumps(records[4 * page - 4 : 4 * page]).encode(), headers=head)

    api.answer = answer
    return f"{api.url}/items"


def loaded(name: str, *runs: Any, **arguments: Any) -> tuple[Any, dict[str, int]]:
    """What a pipeline has loaded after some runs: tables without ids, and the state; and what was refused in all."""
    pipeline = dlt.pipeline(name, destination="duckdb", dataset_name="d")
    refusals: dict[str, int] = {}
    for run in runs:
        pipeline.run(run, **arguments)
        info = pipeline.last_trace.last_normalize_info
        refusals = {reason: refusals.get(reason, 0) + count for reason, count in info.refusals.items()} or refusals
    dataset, tables = pipeline.dataset(), {}
    with duckdb.connect(pipeline.destination.path):  # open once, and not for each look: that takes most of the time
        for table in pipeline.default_schema.tables.values():
            columns = [column for column in table.columns if not column.startswith("_dlt_") or column == "_dlt_list_idx"]
            tables[table.name] = (table.columns.keys(), sorted(map(repr, dataset[table.name].select(*columns).fetchall())))
        sources = pipeline.state.get("sources", {}).values()
    return (tables, [source.get("resources") for source in sources]), refusals


def in_a_loop(url: str) -> Iterator[Any]:
    for page in paginate(url):
        yield list(page)


def through_yield_from(url: str) -> Iterator[Any]:
    yield from paginate(url)


def through_two(url: str) -> Iterator[Any]:
    yield from through_yield_from(url)


def returned(url: str) -> Iterator[Any]:
    return paginate(url)


def of_a_client(url: str) -> Iterator[Any]:
    return RESTClient(url.removesuffix("/items")).paginate("items")


@pytest.mark.parametrize("source", [through_yield_from, through_two, returned, of_a_client])
@pytest.mark.parametrize("arguments", [{}, {"write_disposition": "merge", "primary_key": "id"}], ids=["append", "merge"])
def test_pages_that_nobody_looks_at_are_typed_and_loaded_as_any_other(
    url: str, project: Path, source: Callable[[str], Iterator[Any]], arguments: dict[str, Any]
) -> None:
    expected, none = loaded("plain", *[dlt.resource(in_a_loop, name="items")(url)] * 2, **arguments)

    found, refusals = loaded("typed", *[dlt.resource(source, name="items")(url)] * 2, **arguments)

    assert found == expected
    assert (refusals, none) == ({"page: records of another shape": 2}, {})


def test_a_paginator_itself_can_be_loaded(url: str, project: Path) -> None:
    expected, _ = loaded("plain", in_a_loop(url), table_name="items")

    assert loaded("typed", paginate(url), table_name="items") == (expected, REFUSED)


@dlt.resource(name="items")
def incremental_in_a_loop(url: str, at=dlt.sources.incremental("at", initial_value="2024-01-02")) -> Iterator[Any]:
    for page in paginate(url, params={"since": at.last_value}):
        yield list(page)


@dlt.resource(name="items")
def incremental(url: str, at=dlt.sources.incremental("at", initial_value="2024-01-02")) -> Iterator[Any]:
    yield from paginate(url, params={"since": at.last_value})


@pytest.mark.parametrize("arguments", [{}, {"write_disposition": "merge", "primary_key": "id"}], ids=["append", "merge"])
def test_a_cursor_moves_over_typed_pages_as_over_others(
    url: str, project: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    def two_runs(name: str, resource: Any) -> Any:
        with monkeypatch.context() as early:
            early.setitem(globals(), "RECORDS", RECORDS[:21])  # the boundary parts two records of one day
            first = loaded(name, resource, **arguments)
        return first, loaded(name, resource, **arguments)

    expected, found = two_runs("plain", incremental_in_a_loop(url)), two_runs("typed", incremental(url))

    assert [state for state, _ in found] == [state for state, _ in expected]
    assert [refusals for _, refusals in found] == [REFUSED, {}]


def test_a_limit_counts_typed_pages(url: str, project: Path) -> None:
    expected, _ = loaded("plain", dlt.resource(in_a_loop, name="items")(url).add_limit(3))

    found, _ = loaded("typed", dlt.resource(through_yield_from, name="items")(url).add_limit(3))

    assert found == expected


def test_user_code_sees_dictionaries_only(url: str, project: Path) -> None:
    seen: list[Any] = []

    def look(page: Any) -> Any:
        seen.extend(page if isinstance(page, list) else [page])
        return page

    def looking() -> Iterator[Any]:
        for page in paginate(url):
            assert type(page) is PageData
            yield look(page)

    def hook(response: Any, **_: Any) -> None:
        look(response.json())

    @dlt.transformer
    def details(page: Any) -> Any:
        return look(page)

    for number, resource in enumerate(
        [
            dlt.resource(looking, name="items"),
            dlt.resource(through_yield_from, name="items")(url).add_map(look),
            dlt.resource(through_yield_from, name="items")(url).add_filter(look),
            dlt.resource(through_yield_from, name="items")(url) | details,
            dlt.resource(lambda: paginate(url, hooks={"response": [hook]}), name="items"),
        ]
    ):
        seen.clear()
        _, refusals = loaded(f"p{number}", resource)

        assert seen == RECORDS
        assert set(map(type, seen)) == {dict}
        assert refusals == {}


def test_a_generator_that_looks_between_two_paginators_sees_dictionaries(url: str, project: Path) -> None:
    seen = []

    def mixed() -> Iterator[Any]:
        yield from paginate(url)
        pages = paginate(url)
        seen.append(next(pages))
        yield from pages
        seen.extend(paginate(url))
        yield seen[-1]
        yield {"id": -1}

    _, refusals = loaded("p", dlt.resource(mixed, name="items"))

    assert [set(map(type, page)) for page in seen] == [{dict}] * 7
    assert refusals == {"page: records of another shape": 2}


def test_a_page_that_comes_again_is_noticed_in_typed_pages_too(api: Api, project: Path) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.params.get("page", 1))
        head = {"Content-Type": "application/json", "Link": f'<{api.url}/items?page={page + 1}>; rel="next"'}
        return Reply(json.dumps([{"id": min(page, 5)}]).encode(), headers=head)

    api.answer = answer

    with pytest.raises(PipelineStepFailed, match="same records"):
        dlt.pipeline("p", destination="duckdb", dataset_name="d").run(paginate(f"{api.url}/items"), table_name="items")
    assert len(api.asked) == 6


ENVELOPES = {
    "a link": lambda url, page, is_last: {"next": None if is_last else f"{url}?page={page + 1}"},
    "a cursor": lambda url, page, is_last: {
        "meta": {"cursor": None if is_last else str(page + 1)},
        "request_id": 2**70 + page,
    },
    "a total": lambda url, page, is_last: {"total_pages": 6, "page": page},
    "changing keys": lambda url, page, is_last: {"next": None if is_last else f"{url}?page={page + 1}", f"x{page}": 1},
}
PAGINATORS = {
    "a link": lambda: JSONLinkPaginator("next"),
    "a cursor": lambda: JSONResponseCursorPaginator("meta.cursor", cursor_param="page"),
    "a total": lambda: PageNumberPaginator(base_page=1, total_path="total_pages"),
    "changing keys": lambda: JSONLinkPaginator("next"),
}


@pytest.mark.parametrize(
    ("kind", "is_detected"),
    [*((kind, False) for kind in ENVELOPES), *((kind, True) for kind in ENVELOPES if kind != "a cursor")],
)
def test_records_in_an_envelope_are_typed_too(api: Api, project: Path, kind: str, is_detected: bool) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 1))
        return {**ENVELOPES[kind](f"{api.url}/items", page, page >= 6), "items": RECORDS[4 * page - 4 : 4 * page]}

    def pages() -> Iterator[Any]:
        given = {} if is_detected else {"paginator": PAGINATORS[kind](), "data_selector": "items"}
        return paginate(f"{api.url}/items", **given)

    api.answer = answer
    expected, _ = loaded("plain", (list(page) for page in pages()), table_name="items")

    found, refusals = loaded("typed", pages(), table_name="items")

    assert found == expected
    assert set(refusals) == set(REFUSED)


def test_a_cursor_that_stands_in_the_records_is_found(api: Api, project: Path) -> None:
    def answer(asked: Asked) -> Any:
        after = int(asked.params.get("after", -1))
        return {"items": RECORDS[after + 1 : after + 5]}

    def pages() -> Iterator[Any]:
        paginator = JSONResponseCursorPaginator("items[-1].id", cursor_param="after")
        return paginate(f"{api.url}/items", paginator=paginator, data_selector="items")

    api.answer = answer
    expected, _ = loaded("plain", (list(page) for page in pages()), table_name="items")

    assert loaded("typed", pages(), table_name="items") == (expected, {})


def test_the_same_records_in_another_envelope_are_noticed(api: Api, project: Path) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 1))
        return {"items": [{"id": min(page, 5)}], "next": f"{api.url}/items?page={page + 1}", "request_id": page}

    api.answer = answer

    with pytest.raises(PipelineStepFailed, match="same records"):
        dlt.pipeline("p", destination="duckdb", dataset_name="d").run(paginate(f"{api.url}/items"), table_name="items")
    assert len(api.asked) == 6


def test_pages_that_a_transformer_hands_on_are_typed_too(url: str, project: Path) -> None:
    def starts() -> Iterator[Any]:
        yield from ({"since": since} for since in ("2024-01-01", "2024-01-03"))

    def records(start: dict[str, Any], straight: bool = True) -> Iterator[Any]:
        pages = paginate(url, params=start)
        if straight:
            yield from pages
        else:
            yield from (list(page) for page in pages)

    parent = dlt.resource(starts, name="starts")
    child = dlt.transformer(records, data_from=parent, name="items")
    expected, _ = loaded("plain", child(straight=False))

    found, refusals = loaded("typed", child)

    assert found == expected
    assert set(refusals) == set(REFUSED)
