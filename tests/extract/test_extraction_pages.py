from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from extraction_driver import Runs, extraction, rows_of

from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import DeclarationError, InvalidResourceDataError, ResourceCodeError, SourceExhaustedError
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.state.commits import Window


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in range(count)]


def yielding(*items: Any, name: str = "things", **hints: Any) -> Resource:
    @resource(name=name, **hints)
    def read() -> Iterator[Any]:
        yield from items

    return read


def sizes(pages: list[Page]) -> list[int]:
    return [len(page.rows) for page in pages]


# --- what is yielded becomes pages ----------------------------------------------------------------------------


def test_each_yielded_list_is_a_page_and_records_are_gathered() -> None:
    pages = Runs().pages(yielding(rows(3), {"id": 7}, {"id": 8}, rows(2), {"id": 9}))

    assert sizes(pages) == [3, 2, 2, 1]
    assert {page.table_name for page in pages} == {"things"}


def test_pages_of_single_records_are_bounded() -> None:
    assert sizes(Runs().pages(yielding(*rows(2_500)))) == [1_000, 1_000, 500]


def test_a_list_given_as_data_is_read_in_bounded_pages() -> None:
    pages = Runs().pages(resource(rows(2_500), name="numbers"))

    assert sizes(pages) == [1_000, 1_000, 500]
    assert [row for page in pages for row in page.rows] == rows(2_500)


def test_nested_lists_are_flattened_and_none_is_skipped() -> None:
    runs = Runs()

    assert runs.rows(yielding([[{"id": 1}], None, {"id": 2}], None, ({"id": 3},), 4, {})) == [
        {"id": 1},
        {"id": 2},
        {"id": 3},
        4,
        {},
    ]
    assert (runs.latest.rows, runs.latest.pages) == (5, 3)


def test_empty_lists_make_no_page() -> None:
    assert Runs().pages(yielding([], [None], [])) == []


def test_a_yielded_generator_is_read_as_if_its_items_were_yielded() -> None:
    assert sizes(Runs().pages(yielding(iter([rows(2), rows(3)])))) == [2, 3]


FRAMES = {
    "table": lambda: pa.table({"id": [1, 2]}),
    "record batch": lambda: pa.record_batch({"id": [1, 2]}),
    "reader": lambda: pa.table({"id": [1, 2]}).to_reader(),
    "pandas": lambda: pd.DataFrame({"id": [1, 2]}),
    "pandas, filtered": lambda: pd.DataFrame({"id": [0, 1, 2]}).query("id > 0"),
    "polars": lambda: pl.DataFrame({"id": [1, 2]}),
    "duckdb": lambda: duckdb.sql("SELECT unnest([1, 2]) AS id"),
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES.keys())
def test_frames_become_arrow_tables_whether_yielded_listed_or_given_as_data(make: Any) -> None:
    for declared in (yielding(make()), yielding([make()]), resource(make(), name="things")):
        (page,) = Runs().pages(declared)

        assert isinstance(page.frame, pa.Table)
        assert page.frame.to_pydict() == {"id": [1, 2]}


def test_a_named_index_of_a_pandas_frame_is_data() -> None:
    frame = pd.DataFrame({"v": [1]}, index=pd.Index(["a"], name="key"))

    assert Runs().rows(yielding(frame)) == [{"v": 1, "key": "a"}]


def test_records_and_tables_keep_their_order() -> None:
    pages = Runs().pages(yielding({"id": 1}, pa.table({"id": [2]}), {"id": 3}, [{"id": 4}, pa.table({"id": [5]})]))

    assert [row["id"] for page in pages for row in rows_of(page)] == [1, 2, 3, 4, 5]


def test_a_table_name_can_come_from_each_record() -> None:
    pages = Runs().pages(
        yielding([{"kind": "a", "n": 1}, {"kind": "b", "n": 2}, {"kind": "a", "n": 3}], table_name=lambda r: r["kind"])
    )

    assert [(page.table_name, [row["n"] for row in page.rows]) for page in pages] == [("a", [1, 3]), ("b", [2])]


def test_asynchronous_generators_are_read() -> None:
    async def read() -> AsyncIterator[Any]:
        for number in range(3):
            await asyncio.sleep(0)
            yield {"id": number}

    assert Runs().rows(resource(read)) == rows(3)


def test_an_asynchronous_function_may_return_its_records() -> None:
    async def read() -> list[Any]:
        await asyncio.sleep(0)
        return rows(2)

    assert Runs().rows(resource(read)) == rows(2)


@pytest.mark.parametrize("returned", [None, {"id": 1}, "text", 5])
def test_a_function_that_returns_no_records_is_an_error(returned: Any) -> None:
    with pytest.raises(InvalidResourceDataError, match="Resource 'wrong'"):
        Runs().pages(resource(lambda: returned, name="wrong"))


# --- steps and limit --------------------------------------------------------------------------------------------


def test_steps_map_filter_and_multiply_the_records_of_a_page() -> None:
    declared = yielding(rows(4), {"id": 4})
    declared.add_filter(lambda row: row["id"] != 1)
    declared.add_map(lambda row: {"id": row["id"] * 10})
    declared.add_yield_map(lambda row: (row, {"copy": row["id"]}) if row["id"] == 20 else (row,))

    pages = Runs().pages(declared)

    assert [row for page in pages for row in page.rows] == [{"id": 0}, {"id": 20}, {"copy": 20}, {"id": 30}, {"id": 40}]


def test_a_page_that_a_filter_empties_is_left_out() -> None:
    assert sizes(Runs().pages(yielding(rows(1), rows(3)).add_filter(lambda row: row["id"] > 0))) == [2]


def test_frames_go_through_steps_whole() -> None:
    declared = yielding(pl.DataFrame({"id": [1, 2, 3]}))
    declared.add_map(lambda frame: frame.filter(pl.col("id") > 1)).add_filter(lambda frame: len(frame) > 1)

    assert Runs().rows(declared) == [{"id": 2}, {"id": 3}]


def test_a_step_takes_each_yield_as_a_whole() -> None:
    declared = yielding(rows(2), rows(3)).add_step(lambda page: {"size": len(page)} if len(page) > 2 else None)

    assert Runs().rows(declared) == [{"size": 3}]


def test_steps_can_be_put_before_others() -> None:
    declared = yielding({"v": 2}).add_map(lambda row: {"v": row["v"] * 10})
    declared.add_map(lambda row: {"v": row["v"] + 1}, insert_at=1)

    assert Runs().rows(declared) == [{"v": 30}]


@pytest.mark.parametrize(("insert_at", "order"), [(None, "123"), (1, "312"), (2, "132"), (3, "123"), (9, "123")])
def test_positions_of_steps_count_from_one(insert_at: int | None, order: str) -> None:
    declared = yielding({"seen": ""})
    for number in "12":
        declared.add_map(lambda row, number=number: {"seen": row["seen"] + number})
    declared.add_map(lambda row: {"seen": row["seen"] + "3"}, insert_at=insert_at)

    assert Runs().rows(declared) == [{"seen": order}]
    assert list(yielding({"seen": ""}).add_map(lambda row: row, insert_at=9)) == [{"seen": ""}]


@pytest.mark.parametrize("insert_at", [0, -1])
def test_no_step_can_be_put_before_the_resource(insert_at: int) -> None:
    with pytest.raises(DeclarationError, match=f"inserted at position {insert_at}. Position 0 is the resource itself"):
        yielding({"v": 1}).add_map(lambda row: row, insert_at=insert_at)


@pytest.mark.parametrize(
    ("insert_at", "ids", "cursor"),
    [
        (None, [11, 12, 13], 13),  # as all steps: in front of the cursor, which is at position 2
        (2, [11, 12, 13], 13),
        (3, [12, 13], 3),
        (9, [12, 13], 3),
    ],
)
def test_a_step_past_the_position_of_the_cursor_stands_behind_it(
    insert_at: int | None, ids: list[int], cursor: int
) -> None:
    def numbers() -> Any:
        yield [{"id": 1}, {"id": 2}, {"id": 3}]

    declared = resource(numbers, incremental=Incremental("id", initial_value=2)).add_filter(lambda row: True)
    declared.add_map(lambda row: {"id": row["id"] + 10}, insert_at=insert_at)
    runs = Runs()

    assert [row["id"] for row in runs.rows(declared)] == ids
    assert runs.cursor("id")["last_value"] == cursor
    assert runs.rows(declared) == []


def test_a_step_behind_the_cursor_comes_before_the_limit_and_is_named_by_its_position() -> None:
    def numbers() -> Any:
        for number in range(6):
            yield {"id": number}

    declared = resource(numbers, incremental=Incremental("id", initial_value=0)).add_limit(2)
    declared.add_filter(lambda row: row["id"] % 2, insert_at=2)
    declared.add_filter(lambda row: row["id"] > 1, insert_at=3)
    assert Runs().rows(declared) == [{"id": 3}, {"id": 5}]

    declared.add_map(lambda row: row["name"], insert_at=9)
    with pytest.raises(ResourceCodeError, match=r"Resource 'numbers', step 4, add_map\(<lambda>\): KeyError: 'name'$"):
        Runs().rows(declared)


def test_a_step_for_records_that_fails_on_a_table_is_told_that_it_was_given_one() -> None:
    declared = resource([pa.table({"name": ["tea"]})], name="teas").add_map(lambda row: row["name"] + "!")

    with pytest.raises(
        ResourceCodeError, match=r"It was given a whole pyarrow\.Table, not a record; .*backend='sqlalchemy'"
    ):
        Runs().rows(declared)


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        ({"max_items": 2}, 8),
        ({"max_items": 6, "count_rows": True}, 8),
        ({"max_items": 8, "count_rows": True}, 8),
        ({"max_items": 9, "count_rows": True}, 12),
        ({"max_items": 0}, 0),
        ({"max_items": None}, 20),
        ({"max_items": -1}, 20),
    ],
)
def test_a_limit_counts_yields_or_rows_and_takes_whole_pages(limit: dict[str, Any], count: int) -> None:
    runs = Runs()

    assert len(runs.rows(yielding(*[rows(4)] * 5).add_limit(**limit))) == count
    assert runs.latest.cut_short is (count < 20)


def test_a_limit_on_a_list_counts_its_items() -> None:
    assert Runs().rows(resource(rows(5), name="numbers").add_limit(2)) == rows(2)


def test_a_limited_generator_is_asked_for_no_more_and_closed() -> None:
    events = []

    def read() -> Iterator[Any]:
        try:
            for number in range(10):
                events.append(number)
                yield {"id": number}
        finally:
            events.append("closed")

    Runs().rows(resource(read).add_limit(2))

    assert events == [0, 1, "closed"]


class ScriptedClock:
    """Each look at the clock finds it one second later."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds

    def sleep(self, seconds: float) -> None:
        raise AssertionError


def test_a_limit_in_time_ends_after_the_first_late_yield() -> None:
    runs = Runs()

    passed = runs.rows(yielding(*rows(10)).add_limit(max_time=3), clock=ScriptedClock())

    assert passed == rows(3)
    assert runs.latest.cut_short is True


# --- transformers -----------------------------------------------------------------------------------------------


def test_a_transformer_takes_what_its_parent_yields() -> None:
    @transformer(data_from=yielding([1, 2], 3, name="numbers"))
    def described(item: Any, prefix: str = "is") -> Iterator[Any]:
        yield {"text": f"{prefix} {item}"}

    assert Runs().rows(described) == [{"text": "is [1, 2]"}, {"text": "is 3"}]
    assert Runs().rows(described(prefix="got")) == [{"text": "got [1, 2]"}, {"text": "got 3"}]


def test_pipes_chain_transformers_and_functions() -> None:
    @transformer
    def scaled(number: int, k: int) -> Iterator[int]:
        yield number * k

    @transformer
    def wrapped(number: int) -> dict[str, int]:
        return {"v": number}

    chained = yielding(1, 2, name="numbers") | scaled(k=5) | wrapped | (lambda row: {**row, "seen": True})

    assert Runs().rows(chained) == [{"v": 5, "seen": True}, {"v": 10, "seen": True}]
    assert Runs().rows([7] | scaled(k=2) | wrapped) == [{"v": 14}]


def test_a_list_feeds_a_transformer_item_by_item() -> None:
    @transformer(data_from=resource(rows(2), name="parents"))
    def children(parent: dict[str, Any]) -> Iterator[Any]:
        yield [{"parent": parent["id"], "n": n} for n in range(2)]

    assert Runs().rows(children) == [{"parent": p, "n": n} for p in range(2) for n in range(2)]


def test_a_parents_cursor_commits_with_the_childs_rows() -> None:
    parent = yielding([{"id": 1, "u": 1}, {"id": 2, "u": 2}], name="parent", incremental=Incremental("u"))

    @transformer(data_from=parent)
    def child(page: list[dict[str, Any]]) -> Iterator[Any]:
        yield [{"parent": row["id"]} for row in page]

    runs = Runs()

    assert runs.rows(child) == [{"parent": 1}, {"parent": 2}]
    assert runs.state["upstream"]["parent"]["incremental"]["u"]["last_value"] == 2
    assert (runs.latest.cursor_path, runs.latest.cursor_after) == ("u", 2)
    assert runs.rows(child) == []


def test_a_window_reaches_the_parent_of_a_child_without_cursor_and_no_cursor_moves() -> None:
    parent = yielding([{"id": n, "u": n} for n in range(1, 5)], name="parent", incremental=Incremental("u"))

    @transformer(data_from=parent)
    def child(page: list[dict[str, Any]]) -> Iterator[Any]:
        yield [{"parent": row["id"]} for row in page]

    runs = Runs()

    assert runs.rows(child, window=Window("2", "4")) == [{"parent": 2}, {"parent": 3}]
    assert runs.state == {}


def test_a_transformer_without_a_parent_is_an_error() -> None:
    @transformer
    def lonely(item: Any) -> Any:
        return item

    with pytest.raises(DeclarationError, match=r"nothing to transform: .* parent \| lonely"):
        Runs().rows(lonely)


def test_only_a_transformer_can_be_piped_into() -> None:
    with pytest.raises(DeclarationError, match="takes no items"):
        _ = yielding(1) | yielding(2)


# --- recipes ----------------------------------------------------------------------------------------------------


def test_a_resource_made_from_a_function_or_a_list_can_run_any_number_of_times() -> None:
    for declared in (yielding(rows(2)), resource(rows(2), name="numbers"), resource(range(2), name="numbers")):
        assert len({str(Runs().rows(declared)) for _ in range(3)}) == 1


def test_a_resource_made_from_a_running_generator_can_run_once_and_so_can_its_clones() -> None:
    once = resource((row for row in rows(2)), name="once")
    clone = once.with_name("twin")

    assert Runs().rows(once) == rows(2)
    for used in (once, clone):
        with pytest.raises(SourceExhaustedError, match="running generator"):
            Runs().rows(used)


def test_an_extraction_runs_once() -> None:
    run = extraction(yielding(rows(1)))
    list(run)

    with pytest.raises(DeclarationError, match="an extraction runs once"):
        list(run)


def test_nothing_is_called_before_the_first_page_is_asked_for() -> None:
    called = []
    run = extraction(resource(lambda: called.append(1) or [], name="lazy"))

    assert called == []
    list(run)
    assert called == [1]


def test_closing_an_iteration_early_closes_the_generator() -> None:
    events = []

    def read() -> Iterator[Any]:
        try:
            while True:
                yield rows(1)
        finally:
            events.append(current.resource_state() is not None)

    pages = iter(extraction(resource(read)))
    next(pages)
    pages.close()  # type: ignore[attr-defined]

    assert events == [True]


def test_closing_early_closes_a_generator_that_was_handed_over_running() -> None:
    events = []

    def read() -> Iterator[Any]:
        try:
            while True:
                yield rows(1)
        finally:
            events.append("closed")

    running = read()
    pages = iter(extraction(resource(running, name="endless")))
    next(pages)
    pages.close()  # type: ignore[attr-defined]

    assert events == ["closed"]


# --- what running code sees -------------------------------------------------------------------------------------


def test_state_of_resource_and_source_is_kept_between_runs() -> None:
    @resource
    def counting() -> Iterator[Any]:
        mine, shared = current.resource_state(), current.source_state()
        mine["runs"] = mine.get("runs", 0) + 1
        mine["when"] = datetime(2024, 1, mine["runs"], tzinfo=UTC)
        shared.setdefault("by", []).append("counting")
        yield {"runs": mine["runs"], "when": mine["when"]}

    runs = Runs()
    runs.rows(counting)

    assert runs.rows(counting)[0]["runs"] == 2
    assert runs.source_state == {"by": ["counting", "counting"]}
    assert runs.state["runs"] == 2


def test_running_code_sees_pipeline_window_and_own_name_in_steps_too() -> None:
    found = []

    def look(row: Any) -> Any:
        found.append((current.pipeline(), current.window(), current.resource_state("things")))
        return row

    Runs().rows(yielding(rows(1)).add_map(look), pipeline="the pipeline", window=Window("a", "b"))

    assert found == [("the pipeline", Window("a", "b"), {})]


def test_the_state_of_another_resource_is_out_of_reach() -> None:
    with pytest.raises(DeclarationError, match="keep what several share in source_state"):
        Runs().rows(yielding(rows(1)).add_map(lambda row: current.resource_state("other")))


def test_nothing_is_current_outside_of_a_run() -> None:
    for ask in (current.source_state, current.resource_state, current.pipeline, current.window):
        with pytest.raises(DeclarationError, match="only while a resource is extracted"):
            ask()


def test_two_extractions_read_in_turns_see_each_their_own_state() -> None:
    def read() -> Iterator[Any]:
        for _ in range(3):
            current.resource_state()["pages"] = current.resource_state().get("pages", 0) + 1
            yield [current.resource_state()["pages"]]

    first, second = (extraction(resource(read, name=name)) for name in ("first", "second"))

    turns = [list(page.rows) for pair in zip(first, second, strict=True) for page in pair]

    assert turns == [[1], [1], [2], [2], [3], [3]]
    assert first.state_after == second.state_after == {"pages": 3}


def test_state_that_no_document_can_keep_is_an_error() -> None:
    run = extraction(yielding(rows(1)).add_map(lambda row: current.resource_state().setdefault("bad", object())))
    list(run)

    with pytest.raises(DeclarationError, match="cannot keep a object"):
        _ = run.state_after


def test_a_frame_that_its_source_changes_in_place_later_stays_as_it_was_yielded() -> None:
    @resource
    def frames() -> Iterator[Any]:
        frame = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, 1.5, 2.5]})
        yield frame
        frame.iloc[0, 0] = 9
        frame.loc[:, "x"] = -1.0
        yield frame

    pages = list(extraction(frames))

    assert [page.frame.to_pydict() for page in pages] == [
        {"n": [1, 2, 3], "x": [0.5, 1.5, 2.5]},
        {"n": [9, 2, 3], "x": [-1.0, -1.0, -1.0]},
    ]
