"""Deferred calls and coroutines: several on their way at once, their results in the place of their yields."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate import mark
from dlt_orchestrate.errors import ConfigError, DeclarationError, IngestError, PipelineStepFailed, ResourceCodeError

PATIENCE_SECONDS = 30


@pytest.fixture
def pipeline(project: Any) -> dlt.Pipeline:
    return dlt.pipeline("deferred", destination="memory", dataset_name="mydata")


def ids(pipeline: dlt.Pipeline, table: str = "rows") -> list[int]:
    """The ids of a table in the order of its rows."""
    found = pipeline.dataset()[table].select("_dlt_id", "id").fetchall()
    return [number for _, number in sorted(found)]


def of(items: Any, name: str = "rows", **hints: Any) -> dlt.Resource:
    return dlt.resource(lambda: iter(items), name=name, **hints)


class Meeting:
    """Calls that come to an end only once so many of them run at the same time; tells how many ever did."""

    def __init__(self, calls: int) -> None:
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(calls)

    def __call__(self, number: int) -> dict[str, int]:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        self._barrier.wait(PATIENCE_SECONDS)
        with self._lock:
            self._running -= 1
        return {"id": number}


def surviving_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dlt_orchestrate")]


# --- calls -------------------------------------------------------------------------------------------------------


def test_five_deferred_calls_run_at_once_and_results_take_the_place_of_their_yields(pipeline: dlt.Pipeline) -> None:
    meeting = Meeting(calls=5)
    call = dlt.defer(meeting.__call__)

    def rows() -> Iterator[Any]:
        for number in range(10):
            yield call(number)
        yield {"id": 10}

    pipeline.run(dlt.resource(rows))

    assert ids(pipeline) == list(range(11))
    assert meeting.most == 5
    assert surviving_threads() == []


def test_the_number_of_workers_is_configured(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRACT__WORKERS", "8")
    meeting = Meeting(calls=8)
    call = dlt.defer(meeting.__call__)

    pipeline.run(of(call(number) for number in range(16)))

    assert (ids(pipeline), meeting.most) == (list(range(16)), 8)


@pytest.mark.parametrize("name", ["WORKERS", "MAX_PARALLEL_ITEMS"])
def test_settings_that_cannot_work_are_an_error(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"EXTRACT__{name}", "0")

    with pytest.raises(DeclarationError, match=f"{name.lower()} must be at least 1, not 0"):
        pipeline.run(of([{"id": 1}]))

    monkeypatch.setenv(f"EXTRACT__{name}", "many")
    with pytest.raises(ConfigError):
        pipeline.run(of([{"id": 1}]))


@pytest.mark.parametrize("most", [3, 20])
def test_a_generator_is_read_ahead_only_so_far(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setenv("EXTRACT__MAX_PARALLEL_ITEMS", str(most))
    first_may_end = threading.Event()
    yielded: list[int] = []
    ahead: list[int] = []

    @dlt.defer
    def call(number: int) -> dict[str, int]:
        if number == 0:
            first_may_end.wait(PATIENCE_SECONDS)
            ahead.append(len(yielded))
        return {"id": number}

    def rows() -> Iterator[Any]:
        for number in range(60):
            yielded.append(number)
            if number == most - 1:
                first_may_end.set()
            yield call(number)

    pipeline.run(dlt.resource(rows))

    assert ids(pipeline) == list(range(60))
    assert ahead[0] <= most


def test_what_needs_no_waiting_is_not_read_ahead() -> None:
    yielded: list[int] = []

    def rows() -> Iterator[Any]:
        for number in range(10):
            yielded.append(number)
            yield {"id": number}

    assert next(iter(dlt.resource(rows))) == {"id": 0}
    assert yielded == [0]


def test_results_may_be_pages_iterators_marked_items_or_calls_again(pipeline: dlt.Pipeline) -> None:
    results = [
        [{"id": 0}, {"id": 1}],
        iter([{"id": 2}, {"id": 3}]),
        None,
        mark.with_table_name({"id": 9}, "marked"),
        dlt.defer(lambda: {"id": 4})(),
    ]
    call = dlt.defer(lambda number: results[number])

    pipeline.run(of([*(call(number) for number in range(5)), mark.with_table_name(call(0), "marked")]))

    assert ids(pipeline) == [0, 1, 2, 3, 4]
    assert sorted(ids(pipeline, "marked")) == [0, 1, 9]


def test_plain_functions_and_lists_of_calls_are_called_too(pipeline: dlt.Pipeline) -> None:
    call = dlt.defer(lambda number: {"id": number})

    pipeline.run(of([lambda: {"id": 0}, [call(1), call(2)], [call(3), {"id": 4}]]))

    assert ids(pipeline) == [0, 1, 2, 3, 4]


def test_calls_behind_records_of_one_list_are_an_error_and_no_lost_row(pipeline: dlt.Pipeline) -> None:
    with pytest.raises(PipelineStepFailed, match="A list holds Deferred objects beside records"):
        pipeline.run(of([[{"id": 1}, dlt.defer(dict)()]]))


def test_steps_cursor_and_transformers_take_the_results(pipeline: dlt.Pipeline) -> None:
    call = dlt.defer(lambda number: {"id": number})
    parent = of([call(number) for number in range(5)], name="numbers", incremental=dlt.sources.incremental("id"))

    @dlt.transformer(data_from=parent.add_map(lambda row: {"id": row["id"] + 1}))
    def rows(item: dict[str, int]) -> Any:
        return call(item["id"] * 10)

    info = pipeline.run(rows)

    assert ids(pipeline) == [10, 20, 30, 40, 50]
    assert info.resources["rows"].cursor_after == 5


def test_a_deferred_function_can_be_a_step_a_transformer_and_a_resource(pipeline: dlt.Pipeline) -> None:
    meeting = Meeting(calls=2)

    @dlt.transformer(data_from=of([1, 2], name="numbers"))
    @dlt.defer
    def doubled(number: int) -> dict[str, int]:
        return meeting(number)

    @dlt.resource
    @dlt.defer
    def alone() -> list[dict[str, int]]:
        return [{"id": 7}]

    pipeline.run([doubled, alone, of([[{"id": 1}, {"id": 2}]]).add_map(dlt.defer(lambda row: {"id": row["id"] + 1}))])

    assert (ids(pipeline, "doubled"), ids(pipeline, "alone"), ids(pipeline)) == ([1, 2], [7], [2, 3])


def test_deferred_code_sees_what_its_resource_may_ask(pipeline: dlt.Pipeline) -> None:
    @dlt.defer
    def call() -> dict[str, Any]:
        dlt.current.resource_state()["called"] = True
        return {"id": 1, "pipeline": dlt.current.pipeline().pipeline_name}

    pipeline.run(of([call()]))

    assert pipeline.dataset().rows.select("pipeline").fetchall() == [("deferred",)]
    assert pipeline.state["sources"]["deferred"]["resources"]["rows"] == {"called": True}


def test_a_deferred_call_that_fails_fails_its_resource_by_name_and_spares_its_sibling(pipeline: dlt.Pipeline) -> None:
    @dlt.defer
    def fetch(number: int) -> dict[str, int]:
        if number == 3:
            raise ValueError("three is none")
        return {"id": number}

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run([of((fetch(number) for number in range(9)), name="broken"), of([{"id": 1}])])

    assert caught.value.resources == ("broken",)
    cause = caught.value.__cause__
    assert isinstance(cause, ResourceCodeError)
    assert str(cause) == "Resource 'broken', the deferred call of fetch: ValueError: three is none"
    assert isinstance(cause.__cause__, ValueError)
    assert pipeline.dataset().row_counts() == {"rows": 1}
    assert surviving_threads() == []


def test_an_error_of_ours_stays_itself_and_says_where_it_came_up() -> None:
    @dlt.defer
    def fetch() -> Any:
        raise DeclarationError("something declared wrong")

    with pytest.raises(DeclarationError, match="something declared wrong") as caught:
        list(of([fetch()]))

    assert caught.value.__notes__ == ["In the deferred call of fetch of resource 'rows'."]


def test_nothing_runs_on_when_an_extraction_is_closed_early() -> None:
    others_may_go_on, ended = threading.Event(), []

    @dlt.defer
    def call(number: int) -> dict[str, int]:
        if number:
            others_may_go_on.wait(PATIENCE_SECONDS)
            ended.append(number)
        return {"id": number}

    closed: list[str] = []

    def rows() -> Iterator[Any]:
        try:
            for number in range(1000):
                yield call(number)
        finally:
            closed.append("generator")
            others_may_go_on.set()

    reading = iter(of(rows()))
    assert next(reading) == {"id": 0}
    reading.close()  # type: ignore[attr-defined]

    assert closed == ["generator"]
    assert len(ended) <= 5
    assert surviving_threads() == []


def test_a_limit_ends_what_was_begun_ahead_of_it(pipeline: dlt.Pipeline) -> None:
    call = dlt.defer(lambda number: {"id": number})

    pipeline.run(of(call(number) for number in range(1000)).add_limit(3))

    assert ids(pipeline) == [0, 1, 2]
    assert surviving_threads() == []


# --- coroutines --------------------------------------------------------------------------------------------------


def meeting_coroutines(calls: int) -> Any:
    """An asynchronous function whose calls come to an end only once so many of them run at the same time."""
    waiting: list[asyncio.Event] = []

    async def meet(number: Any) -> dict[str, Any]:
        mine = asyncio.Event()
        waiting.append(mine)
        if len(waiting) % calls == 0:
            for event in waiting:
                event.set()
        await asyncio.wait_for(mine.wait(), PATIENCE_SECONDS)
        return number if isinstance(number, dict) else {"id": number}

    return meet


def test_yielded_coroutines_are_awaited_side_by_side_and_keep_their_places(pipeline: dlt.Pipeline) -> None:
    meet = meeting_coroutines(20)

    pipeline.run(of(meet(number) for number in range(40)))

    assert ids(pipeline) == list(range(40))
    assert surviving_threads() == []


def test_no_more_coroutines_run_at_once_than_configured(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRACT__MAX_PARALLEL_ITEMS", "4")
    running, most = 0, 0

    async def counted(row: dict[str, int]) -> dict[str, int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return row

    pipeline.run(of([[{"id": n} for n in range(50)], *({"id": n} for n in range(50, 60))]).add_map(counted))

    assert ids(pipeline) == list(range(60))
    assert 1 < most <= 4


def test_asynchronous_steps_work_on_records_and_pages(pipeline: dlt.Pipeline) -> None:
    async def tripled(row: dict[str, int]) -> dict[str, int]:
        return {"id": row["id"] * 3}

    async def is_even(row: dict[str, int]) -> bool:
        return row["id"] % 2 == 0

    async def twice(row: dict[str, int]) -> AsyncIterator[dict[str, int]]:
        yield row
        yield {"id": row["id"] + 1}

    async def size(page: Any) -> dict[str, int]:
        return {"id": len(page) if isinstance(page, list) else -1}

    items = [{"id": 1}, [{"id": 2}, {"id": 3}, {"id": 4}], {"id": 6}]
    pipeline.run(
        [
            of(items, name="tripled").add_map(tripled),
            of(items, name="even").add_filter(is_even),
            of(items, name="twice").add_yield_map(twice),
            of(items, name="sizes").add_step(size),
            of(items, name="by_lambda").add_map(lambda row: tripled(row)),
        ]
    )

    assert ids(pipeline, "tripled") == ids(pipeline, "by_lambda") == [3, 6, 9, 12, 18]
    assert ids(pipeline, "even") == [2, 4, 6]
    assert ids(pipeline, "twice") == [1, 2, 2, 3, 3, 4, 4, 5, 6, 7]
    assert ids(pipeline, "sizes") == [-1, 3, -1]


def test_a_filter_that_returns_something_to_await_is_an_error(pipeline: dlt.Pipeline) -> None:
    async def never(row: Any) -> bool:
        return False

    with pytest.raises(PipelineStepFailed, match=r"would always count as yes\. Pass the async function itself"):
        pipeline.run(of([[{"id": 1}]]).add_filter(lambda row: never(row)))


def test_asynchronous_transformers_work_on_several_items_at_once(pipeline: dlt.Pipeline) -> None:
    meet, meet_again = meeting_coroutines(3), meeting_coroutines(3)
    numbers = of([1, 2, 3], name="numbers")

    @dlt.transformer(data_from=numbers)
    async def returning(number: int) -> Any:
        return await meet(number)

    @dlt.transformer(data_from=numbers)
    async def yielding(number: int) -> Any:
        yield await meet_again(number)
        yield {"id": number * 10}

    pipeline.run([returning, yielding])

    assert ids(pipeline, "returning") == [1, 2, 3]
    assert ids(pipeline, "yielding") == [1, 10, 2, 20, 3, 30]


def test_a_coroutine_that_fails_fails_its_resource_by_name(pipeline: dlt.Pipeline) -> None:
    async def fetch(number: int) -> dict[str, int]:
        if number == 2:
            raise ValueError("two is none")
        await asyncio.sleep(0)
        return {"id": number}

    with pytest.raises(PipelineStepFailed, match="Resource 'rows', the coroutine of fetch: ValueError: two is none"):
        pipeline.run(of(fetch(number) for number in range(9)))

    assert surviving_threads() == []


def test_coroutines_that_nobody_waits_for_any_more_are_called_off() -> None:
    ended: list[int] = []

    async def fetch(number: int) -> dict[str, int]:
        try:
            if number:
                await asyncio.Event().wait()
        finally:
            ended.append(number)
        return {"id": number}

    reading = iter(of(fetch(number) for number in range(1000)))
    assert next(reading) == {"id": 0}
    reading.close()  # type: ignore[attr-defined]

    assert ended[0] == 0
    assert len(ended) <= 21
    assert surviving_threads() == []


# --- asynchronous resources --------------------------------------------------------------------------------------


def meeting_source(*names: str, breaks: str = "") -> Any:
    """Asynchronous resources that come to an end only if all of them run at the same time."""

    @dlt.source(name="meeting")
    def meeting() -> Any:
        meet = meeting_coroutines(len(names))
        for name in names:

            async def rows(name: str = name) -> AsyncIterator[dict[str, Any]]:
                threads.add(threading.get_ident())
                yield await meet(1)
                if name == breaks:
                    raise ValueError(f"{name} broke")
                yield {"id": 2, "pipeline": dlt.current.pipeline().pipeline_name}

            yield dlt.resource(rows, name=name)

    threads: set[int] = set()
    return meeting(), threads


def test_asynchronous_resources_of_a_source_run_side_by_side_in_one_thread(pipeline: dlt.Pipeline) -> None:
    names = [f"r{number}" for number in range(8)]
    source, threads = meeting_source(*names)

    info = pipeline.run(source)

    assert pipeline.dataset().row_counts() == dict.fromkeys(names, 2)
    assert len(info.loads_ids) == len(threads) == 1
    assert threading.get_ident() not in threads
    assert surviving_threads() == []


def test_an_asynchronous_resource_that_fails_does_so_alone(pipeline: dlt.Pipeline) -> None:
    source, _ = meeting_source("left", "right", breaks="right")

    with pytest.raises(PipelineStepFailed, match=r"resource 'right' failed\. ValueError: right broke"):
        pipeline.run(source)

    assert pipeline.dataset().row_counts() == {"left": 2}


def test_an_asynchronous_resource_goes_in_step_with_its_cursor(pipeline: dlt.Pipeline) -> None:
    seen: list[Any] = []

    @dlt.resource
    async def rows(cursor: Any = dlt.sources.incremental("id", initial_value=0)) -> AsyncIterator[Any]:
        for number in range(1, 4):
            yield [{"id": number}]
            seen.append(cursor.last_value)

    pipeline.run(rows)

    assert seen == [1, 2, 3]


def test_an_asynchronous_resource_is_one_task_from_beginning_to_end(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    async def rows() -> AsyncIterator[Any]:
        task = asyncio.current_task()
        async with asyncio.timeout(PATIENCE_SECONDS):
            for number in range(3):
                assert asyncio.current_task() is task
                yield {"id": number}

    pipeline.run(rows)

    assert ids(pipeline) == [0, 1, 2]


def test_an_asynchronous_resource_that_is_closed_early_is_closed_in_its_event_loop() -> None:
    closed: list[int] = []

    @dlt.resource
    async def rows() -> AsyncIterator[Any]:
        thread = threading.get_ident()
        try:
            while True:
                yield [{"id": 1}]
        finally:
            await asyncio.sleep(0)
            closed.append(thread - threading.get_ident())

    assert list(rows.add_limit(2)) == [{"id": 1}, {"id": 1}]
    assert closed == [0]
    assert surviving_threads() == []


def test_a_pipeline_runs_asynchronous_resources_inside_a_running_event_loop(pipeline: dlt.Pipeline) -> None:
    async def rows() -> AsyncIterator[Any]:
        yield {"id": 1}

    async def notebook() -> None:
        pipeline.run(dlt.resource(rows))

    asyncio.run(notebook())

    assert ids(pipeline) == [1]


def test_errors_of_steps_name_the_resource_and_the_step(pipeline: dlt.Pipeline) -> None:
    def broken(row: Any) -> Any:
        raise ValueError("bad value")

    def broken_later(row: Any) -> Iterator[Any]:
        yield row
        raise ValueError("bad value")

    for add, function, place in (
        ("add_map", broken, "step 2, add_map(broken)"),
        ("add_filter", broken, "step 2, add_filter(broken)"),
        ("add_yield_map", broken_later, "step 2, add_yield_map(broken_later)"),
        ("add_step", broken_later, "step 2, add_step(broken_later)"),
    ):
        resource = getattr(of([{"id": 1}]).add_map(lambda row: row), add)(function)
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(resource)

        cause = caught.value.__cause__
        assert isinstance(cause, ResourceCodeError)
        assert isinstance(cause, IngestError)
        assert str(cause) == f"Resource 'rows', {place}: ValueError: bad value"
        assert (cause.resource, cause.place) == ("rows", place)
