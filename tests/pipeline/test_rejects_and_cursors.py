"""A cursor moves by accepted rows only: what was rejected is asked for again, and what was accepted is not loaded twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import dlt_orchestrate as dlt

BAD = "\ud800"
"""No column holds half of a surrogate pair."""


def events(rows: list[dict[str, Any]], *, page_rows: int = 3, asked: list[Any] | None = None, **hints: Any) -> Any:
    """A source that shows all its rows each time, or, if it is `asked`, those from there on."""
    cursor = hints.pop("cursor", None) or dlt.sources.incremental("at")

    @dlt.resource(name="events", **hints)
    def read(at: Any = cursor) -> Iterator[Any]:
        if asked is not None:
            asked.append(at.last_value)
        start = at.last_value
        found = [row for row in rows if start is None or row["at"] >= start]
        for first in range(0, len(found), page_rows):
            yield found[first : first + page_rows]

    return read


def pipeline() -> dlt.Pipeline:
    return dlt.pipeline("held", destination="memory", dataset_name="d")


def loaded(of: dlt.Pipeline) -> list[tuple[Any, ...]]:
    if "events" not in of.dataset().tables:
        return []
    return sorted(of.dataset().events.select("id", "at").fetchall())


def rejected(of: dlt.Pipeline) -> int:
    return of.dataset()["_dlt_rejects"].count()


def cursor_state(of: dlt.Pipeline) -> dict[str, Any]:
    (source,) = of.state["sources"].values()
    return source["resources"]["events"]["incremental"]["at"]


def row(number: int, at: Any, *, bad: bool = False) -> dict[str, Any]:
    return {"id": number, "at": at, "text": BAD if bad else "fine"}


@pytest.mark.parametrize("zone", [UTC, None])
def test_rejected_rows_are_held_behind_a_start_with_another_zone_than_theirs(zone: Any) -> None:
    of = pipeline()
    start = datetime(2024, 1, 1, tzinfo=None if zone else UTC)
    source = [row(1, datetime(2024, 1, 2, tzinfo=zone), bad=True), row(2, datetime(2024, 1, 3, tzinfo=zone))]

    for is_bad in (True, False):
        source[0]["text"] = BAD if is_bad else "fine"
        rows = dlt.resource([source], name="events", incremental=dlt.sources.incremental("at", initial_value=start))
        of.run(rows)

    assert [number for number, _ in loaded(of)] == [1, 2]


def test_a_rejected_row_in_the_middle_is_asked_for_again_and_loaded_once_it_is_mended() -> None:
    of, asked = pipeline(), []
    source = [row(1, 10), row(2, 20, bad=True), row(3, 20), row(4, 30)]

    first = of.run(events(source, asked=asked)).resources["events"]
    source[1] = row(2, 20)
    source.append(row(5, 40))
    second = of.run(events(source, asked=asked)).resources["events"]
    third = of.run(events(source, asked=asked)).resources["events"]

    assert (first.rows_loaded, first.rows_rejected, first.cursor_after) == (3, 1, 30)
    assert (second.rows_loaded, second.rows_rejected, second.cursor_after) == (2, 0, 40)
    assert (third.rows_loaded, third.changed) == (0, False)
    assert asked == [None, 20, 40]
    assert loaded(of) == [(1, 10), (2, 20), (3, 20), (4, 30), (5, 40)]


def test_a_rejected_maximum_does_not_move_the_cursor() -> None:
    of, asked = pipeline(), []
    source = [row(1, 10), row(2, 9999, bad=True)]

    report = of.run(events(source, asked=asked)).resources["events"]
    source[1] = row(2, 20)
    of.run(events(source, asked=asked))

    assert report.cursor_after == 10
    assert asked == [None, 10]
    assert loaded(of) == [(1, 10), (2, 20)]


def test_rows_behind_a_rejected_one_are_not_loaded_twice() -> None:
    of = pipeline()
    source = [row(1, 10, bad=True), *(row(n, 10 + n % 3) for n in range(2, 20))]

    of.run(events(source))
    source[0] = row(1, 10)
    report = of.run(events(source)).resources["events"]

    assert report.rows_loaded == 1
    assert loaded(of) == sorted((r["id"], r["at"]) for r in source)


def test_a_row_that_is_never_mended_is_recorded_once_and_changes_nothing_later() -> None:
    of = pipeline()
    source = [row(1, 10), row(2, 20, bad=True), row(3, 30)]

    of.run(events(source))
    second = of.run(events(source))
    source.append(row(4, 40))
    third = of.run(events(source)).resources["events"]

    assert second.is_empty
    assert "1 row(s) that an earlier load rejected came again" in second.resources["events"].warnings[0]
    assert (third.rows_loaded, third.rows_rejected, third.cursor_after) == (1, 0, 40)
    assert "1 row(s) that an earlier load rejected came again" in third.warnings[0]
    assert (len(loaded(of)), rejected(of)) == (3, 1)


def test_rows_that_were_rejected_before_do_not_count_towards_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAD__MAX_REJECTED_ROWS", "2")
    of = pipeline()
    source = [row(1, 10), row(2, 10, bad=True), row(3, 10, bad=True)]

    of.run(events(source))
    source += [row(4, 20), row(5, 20, bad=True), row(6, 20, bad=True)]
    report = of.run(events(source)).resources["events"]

    assert (report.rows_loaded, report.rows_rejected) == (1, 2)
    assert rejected(of) == 4


def test_rejected_rows_can_be_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    of, asked = pipeline(), []
    source = [row(1, 10), row(2, 20, bad=True), row(3, 30)]
    of.run(events(source, asked=asked))

    monkeypatch.setenv("LOAD__REJECTS_HOLD_CURSOR", "false")
    of.run(events(source, asked=asked))
    source[1] = row(2, 20)
    of.run(events(source, asked=asked))

    assert asked == [None, 20, 30]
    assert loaded(of) == [(1, 10), (3, 30)]
    assert cursor_state(of).keys() == {"initial_value", "start_value", "last_value", "unique_hashes"}


def test_rows_that_a_contract_turns_away_hold_the_cursor_too() -> None:
    of = pipeline()
    contract = {"columns": "discard_row"}
    source = [{"id": 1, "at": 10}, {"id": 2, "at": 20}]
    of.run(events(source), schema_contract=contract)
    source += [{"id": 3, "at": 30}, {"id": 4, "at": 30, "new": 1, "tags": [{"a": 1}]}, {"id": 5, "at": 40}]

    second = of.run(events(source), schema_contract=contract).resources["events"]
    again = of.run(events(source), schema_contract=contract).resources["events"]
    source[3] = {"id": 4, "at": 30}
    of.run(events(source), schema_contract=contract)

    assert (second.rows_loaded, second.rows_rejected, second.cursor_after) == (2, 1, 40)
    assert (again.rows_loaded, again.rows_rejected, rejected(of)) == (0, 0, 1)
    assert loaded(of) == [(1, 10), (2, 20), (3, 30), (4, 30), (5, 40)]


def test_a_maximum_that_a_contract_turns_away_does_not_move_the_cursor() -> None:
    of = pipeline()
    contract = {"columns": "discard_row"}
    of.run(events([{"id": 1, "at": 10}]), schema_contract=contract)

    report = of.run(events([{"id": 1, "at": 10}, {"id": 2, "at": 20, "new": 1}]), schema_contract=contract)

    assert report.resources["events"].cursor_after == 10
    assert cursor_state(of)["last_value"] == 10
    commits = of.dataset()["_dlt_commits"].select("cursor_after").fetchall()
    assert commits == [("10",), ("10",)]


class Event(BaseModel):
    id: int
    at: int


def test_records_that_a_model_turns_away_hold_the_cursor_and_old_ones_are_no_news() -> None:
    of = pipeline()
    contract = {"data_type": "discard_row"}
    source: list[dict[str, Any]] = [{"id": 1, "at": 10}, {"id": "two", "at": 20}, {"id": 3, "at": 30}]

    @dlt.resource(name="events", columns=Event, schema_contract=contract)
    def read(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield list(source)

    first = of.run(read).resources["events"]
    second = of.run(read)
    source[1] = {"id": 2, "at": 20}
    of.run(read)
    source[0] = {"id": "one", "at": 10}
    last = of.run(read)

    assert (first.rows_loaded, first.rows_rejected) == (2, 1)
    assert second.is_empty
    assert last.is_empty
    assert loaded(of) == [(1, 10), (2, 20), (3, 30)]
    assert rejected(of) == 1


def test_a_cursor_that_is_no_field_of_the_loaded_rows_says_that_it_moves_past_them() -> None:
    of = pipeline()

    @dlt.resource
    def parents(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield [{"id": 1, "at": 10}]

    @dlt.transformer(data_from=parents)
    def children(items: list[dict[str, Any]]) -> Iterator[Any]:
        for item in items:
            yield {"of": item["id"], "text": BAD}

    report = of.run(children).resources["children"]

    assert report.rows_rejected == 1
    assert "its cursor moves past them" in report.warnings[0]


@pytest.mark.parametrize("row_order", ["asc", "desc"])
def test_runs_that_stop_early_come_as_far_back_as_the_held_rows(row_order: Any) -> None:
    of = pipeline()
    cursor = dlt.sources.incremental("at", row_order=row_order)
    source = [row(n, n * 10, bad=n == 3) for n in range(1, 9)]

    def shown() -> list[dict[str, Any]]:
        return source if row_order == "asc" else source[::-1]

    @dlt.resource(name="events")
    def read(at: Any = cursor) -> Iterator[Any]:
        for record in shown():
            yield [record]

    of.run(read)
    source[2] = row(3, 30)
    source.append(row(9, 90))
    of.run(read)

    assert loaded(of) == [(n, n * 10) for n in range(1, 10)]


@pytest.mark.parametrize("key", ["id", None])
@pytest.mark.parametrize("arrow", [False, True])
def test_a_row_that_was_loaded_before_another_of_its_value_was_rejected_is_not_loaded_again(key: Any, arrow: bool) -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "at": 5, "text": "first"}]
    bound = pipeline()

    @dlt.resource(name="events", primary_key=key)
    def read(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        good = [dict(row) for row in rows if row["text"] != BAD]
        yield pa.Table.from_pylist(good) if arrow else good
        yield [dict(row) for row in rows if row["text"] == BAD]

    bound.run(read)
    rows += [{"id": 2, "at": 5, "text": BAD}, {"id": 3, "at": 6, "text": "last"}]
    for _ in range(3):
        bound.run(read)
        assert loaded(bound) == [(1, 5), (3, 6)]
    rows[1]["text"] = "mended"
    for _ in range(2):
        bound.run(read)
        assert loaded(bound) == [(1, 5), (2, 5), (3, 6)]


def test_a_limited_run_keeps_what_it_has_not_come_to() -> None:
    of = pipeline()
    cursor = dlt.sources.incremental("at", row_order="asc")
    source = [row(n, n * 10, bad=n in (2, 4)) for n in range(1, 7)]
    of.run(events(source, page_rows=1, cursor=cursor))

    source[3] = row(4, 40)
    of.run(events(source, page_rows=1, cursor=cursor).add_limit(1))
    source[1] = row(2, 20)
    of.run(events(source, page_rows=1, cursor=cursor))

    assert loaded(of) == [(n, n * 10) for n in range(1, 7)]


def test_a_held_value_that_is_gone_from_the_source_is_forgotten() -> None:
    of, asked = pipeline(), []
    source = [row(1, 10), row(2, 20, bad=True), row(3, 30)]
    of.run(events(source, asked=asked))

    del source[1]
    of.run(events(source, asked=asked))
    of.run(events(source, asked=asked))

    assert asked == [None, 20, 30]


FORMS = {
    "plain": lambda number: number,
    "dates": lambda number: f"2026-01-{number + 12:02d}T00:00:00Z",
    "halves": lambda number: number / 2,
    "decimals": lambda number: Decimal(number) / 4,
    "moments": lambda number: datetime(2026, 1, 12, tzinfo=UTC) + timedelta(hours=number),
}


@settings(max_examples=40)
@given(
    cursors=st.lists(st.integers(0, 5), min_size=1, max_size=10),
    data=st.data(),
    page_rows=st.integers(1, 4),
    disposition=st.sampled_from(["append", "append with key", "merge"]),
    form=st.sampled_from(sorted(FORMS)),
    falls=st.booleans(),
    arrow=st.booleans(),
    nested=st.booleans(),
)
def test_after_the_mend_every_row_is_there_exactly_once(
    cursors: list[int],
    data: st.DataObject,
    page_rows: int,
    disposition: str,
    form: str,
    falls: bool,
    arrow: bool,
    nested: bool,
) -> None:
    flags = st.lists(st.booleans(), min_size=len(cursors), max_size=len(cursors))
    make = FORMS[form]
    reasons = ["text", "null"] if arrow else ["text", "null", "set"]
    causes = data.draw(st.lists(st.sampled_from(reasons), min_size=len(cursors), max_size=len(cursors)))
    rounds = [data.draw(flags), data.draw(flags), [False] * len(cursors)]
    extra = st.lists(st.integers(0, 5), max_size=3)
    of = pipeline()
    key = {"primary_key": "id"} if disposition != "append" else {}
    cursor = dlt.sources.incremental("at", last_value_func="min" if falls else "max")
    numbers: list[int] = list(cursors)
    bad_now: list[bool] = []

    def source() -> list[dict[str, Any]]:
        return [bad_row(n, make(at), causes[n % len(causes)] if bad_now[n] else None) for n, at in enumerate(numbers)]

    def bad_row(number: int, at: Any, cause: str | None) -> dict[str, Any]:
        made: dict[str, Any] = {"id": number, "at": at, "needed": 1, "text": "fine"}
        if nested:
            made["tags"] = [{"n": number}, {"n": 7}]
        match cause:
            case "text":
                made["text"] = BAD if not arrow else None
                made["needed"] = made["needed"] if not arrow else None
            case "null":
                made["needed"] = None
            case "set":
                made["text"] = {1}
        return made

    @dlt.resource(
        name="events",
        write_disposition="merge" if disposition == "merge" else "append",
        columns={"needed": {"nullable": False}},
        **key,
    )
    def read(at: Any = cursor) -> Iterator[Any]:
        start = at.last_value
        rows = [r for r in source() if start is None or (r["at"] <= start if falls else r["at"] >= start)]
        for first in range(0, len(rows), page_rows):
            page = rows[first : first + page_rows]
            yield pa.Table.from_pylist(page) if arrow else page

    for number, bad in enumerate([*rounds, rounds[-1]]):
        # A row that was loaded once stays as it is.
        bad_now[:] = [is_bad and (number == 0 or bad_now[n]) for n, is_bad in enumerate(bad)]
        bad_now.extend([False] * (len(numbers) - len(bad)))
        of.run(read)
        if number == 0:
            newest = _newest_accepted(numbers, bad, falls)
            if newest is not None:
                # New rows come behind the cursor, as sources do.
                added = data.draw(extra)
                numbers += [newest - 1 - n if falls else newest + 1 + n for n in added]

    assert Counter(of.dataset().events.select("id", "at").fetchall()) == Counter(
        (n, stored(make(at), arrow)) for n, at in enumerate(numbers)
    )
    if nested:
        assert of.dataset().events__tags.count() == 2 * len(numbers)
    assert "held" not in cursor_state(of)
    assert of.run(read).is_empty


def stored(value: Any, arrow: bool) -> Any:
    """How the column holds a cursor value: moments as such, where their type is not declared as text."""
    return datetime.fromisoformat(value) if isinstance(value, str) and not arrow else value


def _newest_accepted(numbers: list[int], bad: list[bool], falls: bool) -> int | None:
    accepted = [at for at, is_bad in zip(numbers, bad, strict=True) if not is_bad]
    return (min(accepted) if falls else max(accepted)) if accepted else None


KEYED = {"id": {"data_type": "bigint", "nullable": False}}


@pytest.mark.parametrize(
    ("contract", "first", "odd"),
    [
        ({"columns": "discard_value"}, {"id": 0, "at": 1}, {"id": 2, "at": 2, "x": 5}),
        ({"data_type": "discard_value"}, {"id": 0, "at": 1, "v": 1}, {"id": 2, "at": 2, "v": "text"}),
        ({"tables": "discard_value"}, {"id": 0, "at": 1}, {"id": 2, "at": 2, "kids": [{"a": 1}]}),
    ],
    ids=["a column", "a value", "a nested table"],
)
def test_what_a_contract_takes_out_of_a_row_does_not_make_it_another_row(contract, first, odd) -> None:
    held = pipeline()
    held.run(events([first], columns=KEYED))

    for _ in range(3):
        held.run(events([odd, {"id": None, "at": 2}, {"id": 3, "at": 3}], columns=KEYED, schema_contract=contract))

    assert loaded(held) == [(0, 1), (2, 2), (3, 3)]
    assert rejected(held) == 1


def test_a_cursor_of_nanoseconds_goes_on_after_a_reject() -> None:
    def frame(*ids: int | None) -> pa.Table:
        moments = pa.array([1_704_067_200_000_000_001 + n for n in range(len(ids))], pa.timestamp("ns"))
        return pa.table({"id": pa.array(ids, pa.int64()), "at": moments})

    def read(table: pa.Table) -> Any:
        @dlt.resource(name="events", columns=KEYED)
        def events(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield table

        return events

    held = pipeline()
    held.run(read(frame(1, None, 3)))
    held.run(read(frame(1, 2, 3, 4)))

    assert [number for number, _ in loaded(held)] == [1, 2, 3, 4]


class Converted(BaseModel):
    id: int
    at: int


class Dated(BaseModel):
    id: int
    at: datetime


class Printed(BaseModel, coerce_numbers_to_str=True):
    id: int
    at: str


@pytest.mark.parametrize(
    ("model", "make"),
    [
        (Converted, str),
        (Dated, lambda n: f"2024-01-0{n}T00:00:00Z"),
        (Dated, lambda n: 1_704_067_200 + n),
        (Printed, lambda n: n),
    ],
    ids=["numbers of texts", "moments of texts", "moments of numbers", "texts of numbers"],
)
def test_a_row_that_a_model_rejects_is_asked_for_again_though_the_model_converts_the_cursor(model, make) -> None:
    def read(rows: list[dict[str, Any]]) -> Any:
        @dlt.resource(name="events", columns=model, schema_contract={"data_type": "discard_row"})
        def events(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield rows

        return events

    held = pipeline()
    rows = [{"id": 1, "at": make(1)}, {"id": None, "at": make(2)}, {"id": 3, "at": make(3)}]
    info = held.run(read(rows))
    mended = [rows[0], {"id": 2, "at": make(2)}, rows[2], {"id": 4, "at": make(4)}]
    held.run(read(mended))

    assert info.resources["events"].warnings == ()
    assert [number for number, _ in loaded(held)] == [1, 2, 3, 4]
    assert held.run(read(mended)).is_empty


def test_a_row_whose_cursor_no_model_converts_is_let_go_with_a_warning() -> None:
    held = pipeline()

    @dlt.resource(name="events", columns=Converted, schema_contract={"data_type": "discard_row"})
    def read(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield [{"id": 1, "at": "1"}, {"id": 2, "at": "soon"}, {"id": None, "at": "2"}, {"id": 3, "at": "3"}]

    (warning,) = held.run(read).resources["events"].warnings

    assert warning.startswith("Resource 'events': cursor 'at' of 1 rejected row(s) holds no such value")
    assert [entry["value"] for entry in cursor_state(held)["held"]] == [2]


def read_at(moment: int, rows: list[dict[str, Any]]) -> Any:
    """A source whose rows say when they were read."""
    return events([{**row, "read_at": moment} for row in rows])


def test_rows_that_differ_on_each_read_are_let_go_rather_than_doubled() -> None:
    held = pipeline()
    held.run(read_at(1, [row(1, 1), row(2, 1), row(3, 1, bad=True), row(4, 5)]))

    warnings = held.run(read_at(2, [row(1, 1), row(2, 1), row(3, 1), row(5, 6)])).resources["events"].warnings

    assert loaded(held) == [(1, 1), (2, 1), (4, 5), (5, 6)]
    assert any("none of them is like one of the 2 that were loaded before" in text for text in warnings)


def test_a_source_that_shows_only_what_was_mended_loses_none_of_it() -> None:
    held = pipeline()
    held.run(read_at(1, [row(1, 1), row(3, 1, bad=True), row(4, 5)]))

    report = held.run(read_at(2, [row(3, 1), row(5, 6)])).resources["events"]

    assert loaded(held) == [(1, 1), (3, 1), (4, 5), (5, 6)]
    assert report.warnings == ()


async def in_a_while(of: Any) -> list[dict[str, Any]]:
    await asyncio.sleep(0)
    return both(of)


def both(of: Any) -> list[dict[str, Any]]:
    """What a transformer makes of a page of one record."""
    return [{"id": f"{record['at']}{half}", "at": record["at"]} for record in of for half in "ab"]


@dlt.transformer(name="events")
def deferred(of: Any) -> Iterator[Any]:
    for record in of:
        for half in both([record]):
            yield dlt.defer(lambda half=half: [half])()


@dlt.transformer(name="events")
async def asynchronous(of: Any) -> AsyncIterator[Any]:
    for half in await in_a_while(of):
        yield half


@dlt.transformer(name="events")
async def awaited(of: Any) -> Any:
    return [await in_a_while(of)]


@dlt.transformer(name="events")
def stepped(of: Any) -> Iterator[Any]:
    yield from both(of)


async def later(record: Any) -> Any:
    await asyncio.sleep(0)
    return record


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize("makes", [deferred, asynchronous, awaited, stepped], ids=lambda found: found.function.__name__)
def test_a_parent_s_cursor_does_not_pass_what_was_read_ahead_of_a_limit(makes: Any, limit: int) -> None:
    of = pipeline()
    source = [row(n, n * 10) for n in range(1, 9)]

    def made() -> Any:
        parent = events(source, page_rows=1, cursor=dlt.sources.incremental("at", row_order="asc"))
        return (parent.with_name("parent") | makes.clone()).add_map(later)

    for _ in range(3):
        of.run(made().add_limit(limit))
    of.run(made())

    assert {name for name, _ in loaded(of)} == {f"{n * 10}{half}" for n in range(1, 9) for half in "ab"}
    if limit > 2:  # enough for a whole record of the parent, and to know it
        assert len(loaded(of)) < 16 + 3 * limit


@pytest.mark.parametrize("limit", [1, 2])
def test_a_cursor_does_not_pass_what_a_step_behind_it_had_begun_when_a_limit_came(limit: int) -> None:
    of = pipeline()
    source = [row(n, n * 10) for n in range(1, 9)]

    def made() -> Any:
        return events(source, page_rows=1, cursor=dlt.sources.incremental("at", row_order="asc")).add_map(
            later, insert_at=2
        )

    for _ in range(3):
        of.run(made().add_limit(limit))

    assert loaded(of) == [(n, n * 10) for n in range(1, 3 * limit + 1)]
    of.run(made())
    assert loaded(of) == [(n, n * 10) for n in range(1, 9)]
