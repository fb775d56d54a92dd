from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from extraction_driver import Runs, extraction

from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.errors import CursorFieldMissingError, CursorValueError, DeclarationError
from dlt_orchestrate.state.commits import Window

INITIAL = "2023-01-01T00:00:00Z"
FIRST = "2024-01-01T00:00:00Z"
SECOND = "2024-01-02T00:00:00Z"
THIRD = "2024-01-03T00:00:00Z"


def row(identity: int, updated: Any) -> dict[str, Any]:
    return {"id": identity, "u": updated}


def numbers(*values: Any, incremental: Incremental[Any], **hints: Any) -> Resource:
    """One page of records whose `u` are these values, with ids from 1."""

    @resource(incremental=incremental, name="numbers", **hints)
    def yielding() -> Iterator[Any]:
        yield [row(position, value) for position, value in enumerate(values, 1)]

    return yielding


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [record["id"] for record in rows]


def values(rows: list[dict[str, Any]]) -> list[Any]:
    return [record["u"] for record in rows]


# --- the runs of the table, one after the other ---------------------------------------------------------------


def issues(*rows: dict[str, Any], seen: list[Any] | None = None) -> Resource:
    @resource(primary_key="id")
    def issues(updated: Incremental[str] = Incremental("u", initial_value=INITIAL)) -> Iterator[Any]:  # noqa: B008
        if seen is not None:
            seen.append((updated.last_value, updated.start_value))
        yield list(rows)
        if seen is not None:
            seen.append((updated.last_value, updated.start_value))

    return issues


def test_the_first_run_passes_all_and_leaves_the_newest_value_with_its_hash() -> None:
    runs, seen = Runs(), []

    passed = runs.rows(issues(row(1, FIRST), row(2, SECOND), seen=seen))

    assert ids(passed) == [1, 2]
    assert seen == [(INITIAL, INITIAL), (SECOND, INITIAL)]
    cursor = runs.cursor("u")
    assert len(cursor.pop("unique_hashes")) == 1
    assert cursor == {"initial_value": INITIAL, "start_value": INITIAL, "last_value": SECOND}
    assert (runs.latest.cursor_path, runs.latest.cursor_before, runs.latest.cursor_after) == ("u", None, SECOND)


def test_a_second_run_over_the_same_rows_passes_nothing_and_leaves_the_state_as_it_was() -> None:
    runs, seen = Runs(), []
    runs.rows(issues(row(1, FIRST), row(2, SECOND)))
    before = runs.state

    pages = runs.pages(issues(row(1, FIRST), row(2, SECOND), seen=seen))

    assert pages == []
    assert runs.state == before
    assert seen == [(SECOND, SECOND), (SECOND, SECOND)]
    assert (runs.latest.cursor_before, runs.latest.cursor_after) == (SECOND, SECOND)


def test_a_third_run_drops_the_seen_row_at_the_boundary_and_older_rows() -> None:
    runs = Runs()
    runs.rows(issues(row(1, FIRST), row(2, SECOND)))
    first_hashes = runs.cursor("u")["unique_hashes"]

    passed = runs.rows(issues(row(1, FIRST), row(2, SECOND), row(3, SECOND), row(4, THIRD), row(5, INITIAL)))

    assert ids(passed) == [3, 4]
    assert runs.cursor("u")["last_value"] == THIRD
    assert runs.cursor("u")["start_value"] == SECOND
    assert len(runs.cursor("u")["unique_hashes"]) == 1
    assert runs.cursor("u")["unique_hashes"] != first_hashes


def test_hashes_accumulate_while_the_last_value_stays() -> None:
    runs = Runs()
    runs.rows(issues(row(1, FIRST)))

    assert ids(runs.rows(issues(row(1, FIRST), row(2, FIRST)))) == [2]
    assert len(runs.cursor("u")["unique_hashes"]) == 2
    assert ids(runs.rows(issues(row(1, FIRST), row(2, FIRST), row(3, FIRST)))) == [3]
    assert len(runs.cursor("u")["unique_hashes"]) == 3


def test_rows_before_the_initial_value_are_dropped_and_equal_ones_kept_once() -> None:
    runs = Runs()

    assert ids(runs.rows(issues(row(1, "2022-12-31T00:00:00Z"), row(2, INITIAL)))) == [2]
    assert ids(runs.rows(issues(row(1, "2022-12-31T00:00:00Z"), row(2, INITIAL)))) == []


def test_a_run_without_rows_writes_no_state() -> None:
    runs = Runs()

    assert runs.rows(issues()) == []
    assert runs.state == {}


def test_the_cursor_moves_after_each_single_record_that_is_yielded() -> None:
    seen = []

    @resource
    def singles(updated: Incremental[int] = Incremental("u", initial_value=0)) -> Iterator[Any]:  # noqa: B008
        for value in (1, 3, 2):
            yield row(value, value)
            seen.append(updated.last_value)

    pages = Runs().pages(singles)

    assert seen == [1, 3, 3]
    assert [len(page.rows) for page in pages] == [3]


# --- what equals the boundary ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "cursor_key", "passed"),
    [
        ({"primary_key": "id"}, None, [2]),
        ({"primary_key": "id"}, ("id", "v"), [1, 2]),
        ({}, None, [1, 2]),
        ({}, "id", [2]),
        ({"primary_key": "id", "write_disposition": "merge"}, None, [1, 2]),
        ({"primary_key": "id"}, (), [1, 2]),
    ],
    ids=["key", "key of the cursor", "no key: whole row", "key of the cursor alone", "merge: whole row", "off"],
)
def test_a_changed_row_at_the_boundary(hints: dict[str, Any], cursor_key: Any, passed: list[int]) -> None:
    def events(*rows: dict[str, Any]) -> Resource:
        return resource(
            list(rows), name="events", incremental=Incremental("u", initial_value=0, primary_key=cursor_key), **hints
        )

    runs = Runs()
    runs.rows(events({"id": 1, "u": 5, "v": "old"}))

    assert ids(runs.rows(events({"id": 1, "u": 5, "v": "new"}, {"id": 2, "u": 5, "v": "old"}))) == passed


def test_an_empty_key_passes_boundary_rows_every_time_and_keeps_no_hashes() -> None:
    events = numbers(1, 2, 2, incremental=Incremental("u", primary_key=()))
    runs = Runs()

    assert values(runs.rows(events)) == [1, 2, 2]
    assert values(runs.rows(events)) == [2, 2]
    assert runs.cursor("u")["unique_hashes"] == []


def test_an_open_start_drops_what_equals_it_and_keeps_no_hashes() -> None:
    events = numbers(1, 2, 3, incremental=Incremental("u", initial_value=1, range_start="open"))
    runs = Runs()

    assert values(runs.rows(events)) == [2, 3]
    assert values(runs.rows(events)) == []
    assert runs.cursor("u")["unique_hashes"] == []


def test_thousands_of_rows_at_the_newest_value_are_each_remembered() -> None:
    many = [row(identity, 7) for identity in range(3_500)]
    events = resource(many, name="events", primary_key="id", incremental=Incremental("u"))
    runs = Runs()
    runs.rows(events)

    assert len(runs.cursor("u")["unique_hashes"]) == 3_500
    assert runs.rows(events) == []


# --- rows without a value -------------------------------------------------------------------------------------

GAPPY = [{"id": 1, "u": 1}, {"id": 2, "u": None}, {"id": 3}, {"id": 4, "u": 2}]


@pytest.mark.parametrize(("choice", "first", "second"), [("include", [1, 2, 3, 4], [2, 3]), ("exclude", [1, 4], [])])
def test_rows_without_a_cursor_value_are_passed_every_run_or_never(
    choice: Any, first: list[int], second: list[int]
) -> None:
    events = resource(GAPPY, name="events", incremental=Incremental("u", on_cursor_value_missing=choice))
    runs = Runs()

    assert ids(runs.rows(events)) == first
    assert ids(runs.rows(events)) == second


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"id": 2, "u": None}, "it holds null there"),
        ({"id": 3, "v": 1}, "it has id, v"),
        (7, "the record is a int"),
        ({"id": 4, "u": float("nan")}, "it holds null there"),
    ],
)
def test_a_row_without_a_cursor_value_is_an_error_that_tells_what_it_has(record: Any, found: str) -> None:
    events = resource([{"id": 1, "u": 1}, record], name="events", incremental=Incremental("u"))

    with pytest.raises(CursorFieldMissingError, match=found) as error:
        Runs().rows(events)

    assert (error.value.resource, error.value.cursor_path) == ("events", "u")


@pytest.mark.parametrize(
    ("initial", "found", "message"),
    [
        (INITIAL, datetime(2024, 1, 1, tzinfo=UTC), "holds a datetime with a zone, .* the text it started from"),
        (0, "2024-01-01", "holds a text, .* the int it started from"),
        (datetime(2024, 1, 1), date(2024, 1, 1), "holds a date, .* the datetime without a zone"),
    ],
)
def test_values_that_cannot_be_compared_are_an_error(initial: Any, found: Any, message: str) -> None:
    with pytest.raises(CursorValueError, match=message):
        Runs().rows(numbers(found, incremental=Incremental("u", initial_value=initial)))


def test_values_of_two_kinds_in_one_page_are_an_error() -> None:
    with pytest.raises(CursorValueError, match="holds a text, which cannot be compared with the int"):
        Runs().rows(numbers(1, "two", incremental=Incremental("u")))


# --- bounded runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "passed"),
    [
        ("closed", "open", [2, 3, 4]),
        ("open", "open", [3, 4]),
        ("open", "closed", [3, 4, 5]),
        ("closed", "closed", [2, 3, 4, 5]),
    ],
)
def test_a_run_with_an_end_passes_its_range_each_time_and_touches_no_state(start: Any, end: Any, passed: list[int]) -> None:
    bounded = Incremental("u", initial_value=2, end_value=5, range_start=start, range_end=end)
    runs = Runs(state={"incremental": {"u": {"initial_value": 0, "last_value": 4, "unique_hashes": ["x"]}}})
    before = runs.state

    for _ in range(2):
        assert values(runs.rows(numbers(1, 2, 3, 4, 5, 6, incremental=bounded))) == passed
        assert runs.state == before


def test_an_end_needs_a_start() -> None:
    with pytest.raises(DeclarationError, match="end_value needs an initial_value"):
        Incremental("u", end_value=5)


WINDOW = Window("2024-01-02T00:00:00+00:00", "2024-01-03T00:00:00+00:00")
ZONED = [datetime(2024, 1, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (0, 12)]


@pytest.mark.parametrize("has_initial_value", [True, False])
@pytest.mark.parametrize(
    "cursors",
    [
        ZONED,
        [moment.replace(tzinfo=None) for moment in ZONED],
        [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in ZONED],
        [f"{moment:%Y-%m-%d %H:%M:%S.000}" for moment in ZONED],
        [f"{moment + timedelta(hours=2):%Y-%m-%dT%H:%M:%S+02:00}" for moment in ZONED],
    ],
    ids=["moments with zone", "moments without", "texts", "texts with blanks and fractions", "texts in another zone"],
)
def test_a_window_passes_the_rows_of_its_day_whatever_shape_moments_have(
    cursors: list[Any], has_initial_value: bool
) -> None:
    declared = Incremental("u", initial_value=cursors[0] if has_initial_value else None)
    runs = Runs(state={"incremental": {"u": {"initial_value": 0, "last_value": 4, "unique_hashes": []}}})
    before = runs.state

    passed = runs.rows(numbers(*cursors, incremental=declared), window=WINDOW)

    assert ids(passed) == [3, 4]
    assert runs.state == before


@pytest.mark.parametrize(
    ("cursors", "window", "passed"),
    [
        ([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)], WINDOW, [2]),
        (["2024-01-01", "2024-01-02", "2024-01-03"], WINDOW, [2]),
        ([9, 10, 11, 20], Window("10", "20"), [2, 3]),
        ([Decimal("9.5"), Decimal(10), Decimal("19.99"), Decimal(20)], Window("10", "20"), [2, 3]),
        (["a", "b", "c"], Window("b", "c"), [2]),
    ],
)
def test_a_window_is_read_as_the_kind_of_the_records(cursors: list[Any], window: Window, passed: list[int]) -> None:
    for initial in (None, cursors[0]):
        declared = Incremental("u", initial_value=initial)
        assert ids(Runs().rows(numbers(*cursors, incremental=declared), window=window)) == passed


def test_a_window_shows_in_the_running_function_and_in_the_report() -> None:
    seen = []

    @resource
    def events(u: Incremental[str] = Incremental("u", initial_value=INITIAL)) -> Iterator[Any]:  # noqa: B008
        seen.append((u.initial_value, u.start_value, u.last_value, u.end_value))
        yield [row(1, "2024-01-02T08:00:00Z")]

    runs = Runs()
    runs.rows(events, window=WINDOW)

    assert seen == [(INITIAL, SECOND, SECOND, THIRD)]
    assert (runs.latest.cursor_before, runs.latest.cursor_after) == (SECOND, "2024-01-02T08:00:00Z")


def test_a_window_that_is_no_value_of_the_records_kind_is_an_error() -> None:
    with pytest.raises(CursorValueError, match=r"holds a int, .* the text"):
        Runs().rows(numbers(1, 2, incremental=Incremental("u", initial_value=0)), window=WINDOW)


# --- order of rows --------------------------------------------------------------------------------------------


def paged(pages: list[list[int]], declared: Incremental[Any], requested: list[list[int]]) -> Resource:
    @resource(incremental=declared, name="paged")
    def read() -> Iterator[Any]:
        for page in pages:
            requested.append(page)
            yield [row(value, value) for value in page]

    return read


def test_falling_order_stops_at_the_first_row_before_the_start() -> None:
    requested: list[list[int]] = []
    runs = Runs()
    runs.rows(paged([[2, 1]], Incremental("u", row_order="desc"), []))

    passed = runs.rows(paged([[4, 3], [2, 1], [0, -1]], Incremental("u", row_order="desc"), requested))

    assert values(passed) == [4, 3]
    assert requested == [[4, 3], [2, 1]]
    assert runs.latest.cut_short is False
    assert runs.cursor("u")["last_value"] == 4


def test_rising_order_stops_at_the_first_row_behind_the_end() -> None:
    requested: list[list[int]] = []
    declared = Incremental("u", initial_value=0, end_value=4, row_order="asc")

    passed = Runs().rows(paged([[1, 2], [3, 4], [5, 6]], declared, requested))

    assert values(passed) == [1, 2, 3]
    assert requested == [[1, 2], [3, 4]]


def test_with_the_least_value_newest_rising_order_means_newest_first() -> None:
    requested: list[list[int]] = []
    runs = Runs()
    runs.rows(paged([[5]], Incremental("u", last_value_func="min", row_order="asc"), []))

    passed = runs.rows(paged([[3, 4], [5, 6], [7]], Incremental("u", last_value_func="min", row_order="asc"), requested))

    assert values(passed) == [3, 4]
    assert requested == [[3, 4], [5, 6]]


def test_a_loop_can_stop_itself_when_rows_from_before_the_start_come() -> None:
    requests: list[int] = []

    @resource(primary_key="id")
    def newest_first(u: Incremental[int] = Incremental("u", initial_value=0)) -> Iterator[Any]:  # noqa: B008
        for number, page in enumerate([[9, 8, 7], [6, 5, 4], [3, 2, 1]]):
            requests.append(number)
            yield [row(value, value) for value in page]
            if u.start_out_of_range:
                break

    runs = Runs()
    assert len(runs.rows(newest_first)) == 9
    assert runs.rows(newest_first) == []
    assert requests == [0, 1, 2, 0]


def test_a_row_at_the_boundary_does_not_count_as_out_of_range() -> None:
    flags = []

    @resource(primary_key="id")
    def ties(u: Incremental[int] = Incremental("u")) -> Iterator[Any]:  # noqa: B008
        yield [row(1, 5), row(2, 5)]
        flags.append(u.start_out_of_range)

    runs = Runs()
    runs.rows(ties)
    runs.rows(ties)

    assert flags == [False, False]


# --- lag --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lag", "stored", "start"),
    [
        (86_400, "2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"),
        (90, "2024-01-02 00:00:00.500+0200", "2024-01-01 23:58:30.500+0200"),
        (0.25, datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, 23, 59, 59, 750_000, tzinfo=UTC)),
        (2, date(2024, 1, 2), date(2023, 12, 31)),
        (2, "2024-01-02", "2023-12-31"),
        (3, 10, 7),
        (0.5, 10.0, 9.5),
        (3, Decimal("10.5"), Decimal("7.5")),
    ],
)
def test_a_lag_moves_the_start_back_in_seconds_days_or_units(lag: float, stored: Any, start: Any) -> None:
    seen = []

    @resource
    def events(u: Incremental[Any] = Incremental("u", lag=lag)) -> Iterator[Any]:  # noqa: B008
        seen.append((u.last_value, u.start_value))
        yield [row(1, stored)]

    runs = Runs()
    runs.rows(events)
    runs.rows(events)

    assert seen == [(None, None), (start, start)]


def test_a_lagged_run_passes_the_trailing_rows_again_and_never_moves_back() -> None:
    runs = Runs()
    runs.rows(numbers(1, 5, 10, incremental=Incremental("u", lag=3, initial_value=0)))

    assert values(runs.rows(numbers(6, 7, 8, 10, incremental=Incremental("u", lag=3, initial_value=0)))) == [7, 8, 10]
    assert runs.cursor("u")["last_value"] == 10
    assert runs.cursor("u")["unique_hashes"] == []


@pytest.mark.parametrize(
    ("function", "initial", "stored", "start"), [("max", 8, 9, 8), ("min", 8, 7, 8), ("min", 99, 7, 10)]
)
def test_a_lag_never_goes_beyond_the_initial_value(function: str, initial: int, stored: int, start: int) -> None:
    seen = []

    @resource(incremental=Incremental("u", lag=3, initial_value=initial, last_value_func=function))
    def events(u: Incremental[int]) -> Iterator[Any]:
        seen.append(u.last_value)
        yield [row(1, stored)]

    runs = Runs()
    runs.rows(events)
    runs.rows(events)

    assert seen == [initial, start]


def test_a_lag_before_the_first_moment_of_the_calendar_starts_at_the_initial_value() -> None:
    declared = Incremental("u", lag=10**9, initial_value="2024-01-01")
    runs = Runs()
    runs.rows(numbers("2024-01-05", incremental=declared))

    assert values(runs.rows(numbers("2024-01-01", "2024-01-05", incremental=declared))) == ["2024-01-01", "2024-01-05"]


def test_a_lag_on_values_without_a_scale_is_an_error() -> None:
    runs = Runs()
    runs.rows(numbers("abc", incremental=Incremental("u", lag=1)))

    with pytest.raises(CursorValueError, match="holds a text"):
        runs.rows(numbers("abd", incremental=Incremental("u", lag=1)))


# --- which value is the newest ----------------------------------------------------------------------------------


def test_with_min_the_least_value_is_the_newest() -> None:
    declared = Incremental("u", last_value_func=min, initial_value=10)
    runs = Runs()

    assert values(runs.rows(numbers(12, 10, 8, 9, incremental=declared))) == [10, 8, 9]
    assert values(runs.rows(numbers(12, 10, 8, 9, 7, incremental=declared))) == [7]
    assert runs.cursor("u")["last_value"] == 7


def test_a_function_of_the_users_own_decides_which_value_is_newest() -> None:
    calls = []

    def longest(found: tuple[str, ...]) -> str:
        calls.append(len(found))
        return max(found, key=len)

    declared = Incremental("u", last_value_func=longest)
    runs = Runs()

    assert values(runs.rows(numbers("bb", "a", "ccc", incremental=declared))) == ["bb", "a", "ccc"]
    assert runs.cursor("u")["last_value"] == "ccc"
    assert values(runs.rows(numbers("bb", "c", "ccc", "dddd", incremental=declared))) == ["dddd"]
    assert set(calls) == {1, 2}


@pytest.mark.parametrize("function", [None, "max", max])
def test_the_greatest_value_is_the_newest_by_default(function: Any) -> None:
    runs = Runs()
    runs.rows(numbers(3, 1, incremental=Incremental("u", last_value_func=function)))

    assert runs.cursor("u")["last_value"] == 3


def test_an_unknown_function_name_is_an_error() -> None:
    with pytest.raises(DeclarationError, match="no last_value_func 'latest'"):
        Incremental("u", last_value_func="latest")


# --- paths and types ------------------------------------------------------------------------------------------


def test_a_cursor_can_be_a_path_which_is_also_its_key_in_the_state() -> None:
    def nested(value: int) -> dict[str, Any]:
        return {"a": {"b": [{"c": value}]}}

    declared = Incremental("a.b[0].c", initial_value=2)
    runs = Runs()

    assert runs.rows(resource([nested(1), nested(3)], name="nested", incremental=declared)) == [nested(3)]
    assert runs.cursor("a.b[0].c")["last_value"] == 3


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        datetime(2024, 1, 2),
        date(2024, 1, 2),
        Decimal("1.500"),
        7,
        1.5,
        "text",
        "\uf0272024",
        10**30,
    ],
    ids=repr,
)
def test_the_state_gives_cursor_values_back_exactly(value: Any) -> None:
    seen = []

    @resource
    def events(u: Incremental[Any] = Incremental("u")) -> Iterator[Any]:  # noqa: B008
        seen.append(u.last_value)
        yield [row(1, value)]

    runs = Runs()
    runs.rows(events)
    runs.rows(events)

    assert seen == [None, value]
    assert type(seen[1]) is type(value)


def test_a_declared_start_without_a_zone_means_utc_where_records_have_one() -> None:
    declared = Incremental("u", initial_value=datetime(2024, 1, 2))

    assert ids(Runs().rows(numbers(*ZONED, incremental=declared))) == [3, 4, 5, 6]


@pytest.mark.parametrize("zone", [UTC, None])
@pytest.mark.parametrize("arrow", [False, True])
def test_a_lag_goes_back_to_a_declared_start_with_another_zone_than_the_records(zone: Any, arrow: bool) -> None:
    start = datetime(2024, 1, 2, tzinfo=None if zone else UTC)
    records = [row(day, datetime(2024, 1, day, tzinfo=zone)) for day in (1, 2, 3)]
    rows = [pa.Table.from_pylist(records)] if arrow else [records]
    declared = Incremental("u", initial_value=start, lag=3 * 86_400, primary_key=())
    runs = Runs()

    assert ids(runs.rows(resource(rows, name="numbers", incremental=declared))) == [2, 3]
    assert ids(runs.rows(resource(rows, name="numbers", incremental=declared))) == [2, 3]


def test_a_lag_goes_back_to_a_declared_start_that_is_spelled_in_another_way() -> None:
    declared = Incremental("u", initial_value="2024-01-01T23:00:00-05:00", lag=4 * 3_600, primary_key=())
    runs = Runs()

    assert ids(runs.rows(numbers("2024-01-02T08:00:00+01:00", incremental=declared))) == [1]
    assert ids(runs.rows(numbers("2024-01-02T03:30:00Z", "2024-01-02T04:30:00Z", incremental=declared))) == [2]


@pytest.mark.parametrize("is_ended", [False, True])
def test_moments_of_the_hour_that_comes_twice_are_told_apart(is_ended: bool) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    minutes = (30, 75, 75, 80)  # 02:30, then 02:15 and 02:20 of the second time
    rows = [
        row(n, (datetime(2024, 10, 27, tzinfo=UTC) + timedelta(minutes=at)).astimezone(berlin))
        for n, at in enumerate(minutes)
    ]
    runs = Runs()

    def source(shown: list[dict[str, Any]]) -> Resource:
        bounds = {"initial_value": rows[0]["u"], "end_value": rows[1]["u"]} if is_ended else {}
        return resource([shown], name="events", primary_key="id", incremental=Incremental("u", **bounds))

    if is_ended:
        assert ids(runs.rows(source(rows))) == [0]
    else:
        assert ids(runs.rows(source(rows[:2]))) == [0, 1]
        assert ids(runs.rows(source(rows[:3]))) == [2]
        assert ids(runs.rows(source(rows))) == [3]


def test_texts_of_moments_behind_a_record_without_a_value_are_compared_as_moments() -> None:
    rows = [row(1, None), row(2, "2024-01-01T12:00:00+02:00"), row(3, "2024-01-01T10:30:00Z")]
    cursor = Incremental("u", on_cursor_value_missing="exclude", primary_key="id")
    runs = Runs()

    assert ids(runs.rows(resource([rows], name="events", incremental=cursor))) == [2, 3]
    assert ids(runs.rows(resource([[*rows, row(4, "2024-01-01T10:40:00Z")]], name="events", incremental=cursor))) == [4]


def test_a_cursor_converted_by_a_map_step_is_read_behind_it() -> None:
    events = resource([row(1, "5"), row(2, "12")], name="events", incremental=Incremental("u", initial_value=10))
    events.add_map(lambda record: {**record, "u": int(record["u"])})

    assert values(Runs().rows(events)) == [12]


# --- cut short, failed, replaced ------------------------------------------------------------------------------


def test_a_run_cut_short_leaves_the_cursor_where_it_was() -> None:
    events = paged([[9, 8], [7, 6]], Incremental("u", initial_value=0), []).add_limit(1)
    runs = Runs()

    assert values(runs.rows(events)) == [9, 8]
    assert (runs.latest.cut_short, runs.state, runs.latest.cursor_after) == (True, {}, None)


def test_a_run_cut_short_goes_on_from_there_if_rows_come_from_old_to_new() -> None:
    events = paged([[1, 2], [2, 3], [4]], Incremental("u", row_order="asc"), []).add_limit(1)
    events.add_map(lambda record: {**record, "run": "any"})
    runs = Runs()

    assert [values(runs.rows(events)) for _ in range(4)] == [[1, 2], [3], [4], []]


def test_a_run_cut_short_with_an_open_start_moves_nothing_since_ties_would_be_lost() -> None:
    declared = Incremental("u", row_order="asc", range_start="open")
    runs = Runs()

    runs.rows(paged([[1], [1, 2]], declared, []).add_limit(1))

    assert values(runs.rows(paged([[1], [1, 2]], declared, []))) == [1, 1, 2]


def test_an_extraction_that_fails_changes_nothing() -> None:
    @resource
    def failing(u: Incremental[int] = Incremental("u", initial_value=0)) -> Iterator[Any]:  # noqa: B008
        yield [row(1, 5)]
        raise OSError("gone")

    state = {"incremental": {"u": {"initial_value": 0, "last_value": 1, "start_value": 0, "unique_hashes": ["x"]}}}
    kept = {"incremental": {"u": {**state["incremental"]["u"]}}}

    with pytest.raises(OSError, match="gone"):
        list(extraction(failing, state))

    assert state == kept


def test_replace_starts_over_and_leaves_the_cursor_of_its_own_rows() -> None:
    events = numbers(1, 2, incremental=Incremental("u"), write_disposition="replace")
    runs = Runs()
    runs.rows(events)

    assert values(runs.rows(events)) == [1, 2]

    runs.rows(numbers(incremental=Incremental("u"), write_disposition="replace"))
    assert runs.state == {}


def test_a_cursor_without_a_path_is_an_error() -> None:
    with pytest.raises(DeclarationError, match="names no cursor_path"):
        Runs().rows(numbers(1, incremental=Incremental(initial_value=1)))


def test_a_hint_without_a_path_takes_that_of_the_declaration() -> None:
    runs = Runs()
    rows = [row(1, FIRST), row(2, SECOND)]

    assert ids(runs.rows(issues(*rows).apply_hints(incremental=Incremental(initial_value=SECOND)))) == [2]


def test_an_argument_beats_the_declared_default() -> None:
    bound = issues(row(1, FIRST), row(2, SECOND))(Incremental("u", initial_value=INITIAL, end_value=SECOND))

    assert ids(Runs().rows(bound)) == [1]


# --- moments as texts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrow", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_texts_of_several_zones_are_compared_as_the_moments_that_they_name(arrow: bool, at_once: bool) -> None:
    driver = Runs()
    moments = [
        "2024-01-01T12:00:00+02:00", "2024-01-01T10:30:00Z", "2024-01-01T10:30:00.5Z", "2024-01-01T11:31:00+01:00",
    ]  # fmt: skip
    rows = [{"id": number, "at": at} for number, at in enumerate(moments)]

    def source(shown: list[dict[str, Any]]) -> Any:
        pages = [shown] if at_once else [[row] for row in shown]
        made = [pa.Table.from_pylist(page) if arrow else page for page in pages]
        return resource(made, name="events", primary_key="id", incremental=Incremental("at"))

    assert driver.rows(source([rows[2], rows[0], rows[1]])) == [rows[2], rows[0], rows[1]]
    assert driver.rows(source([rows[3], rows[0], rows[1], rows[2]])) == [rows[3]]
    assert driver.rows(source(rows)) == []


@pytest.mark.parametrize("arrow", [False, True])
@pytest.mark.parametrize("func", [max, min])
def test_one_moment_in_several_spellings_is_one_boundary(arrow: bool, func: Any) -> None:
    driver = Runs()
    moments = ["2024-01-01T12:00:00+02:00", "2024-01-01T10:00:00Z", "2024-01-01T11:00:00.0+01:00"]
    rows = [{"id": number, "at": at} for number, at in enumerate(moments)]

    def source(shown: list[dict[str, Any]]) -> Any:
        made = [pa.Table.from_pylist([row]) if arrow else [row] for row in shown]
        return resource(made, name="events", primary_key="id", incremental=Incremental("at", last_value_func=func))

    assert driver.rows(source(rows[:2])) == rows[:2]
    assert driver.rows(source(rows)) == rows[2:]
    assert driver.rows(source(rows)) == []


def test_texts_of_moments_with_and_without_a_zone_cannot_be_compared() -> None:
    rows = [{"at": "2024-01-01T12:00:00"}, {"at": "2024-01-01T10:30:00Z"}]

    with pytest.raises(CursorValueError, match="text of a moment with a zone"):
        Runs().rows(resource([rows], name="events", incremental=Incremental("at")))


@pytest.mark.parametrize(
    ("before", "later"),
    [
        ("2024-01-01T01:00:00", "2024-01-01 23:00:00"),  # a blank sorts before a T
        ("2024-01-01T10:00+05:00", "2024-01-01T09:00+01:00"),  # zones behind minutes
    ],
)
def test_moments_of_one_length_are_compared_by_what_they_mean(before: str, later: str) -> None:
    runs = Runs()
    runs.rows(paged([[before]], Incremental("u"), []))

    assert values(runs.rows(paged([[later]], Incremental("u"), []))) == [later]
