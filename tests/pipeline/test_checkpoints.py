"""A long extraction is committed in parts; one that fails goes on from its last checkpoint, exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import CommitConflictError, DeclarationError, PipelineStepFailed, TooManyRejectsError
from dlt_orchestrate.flow.positions import Position, kept_positions
from dlt_orchestrate.pipeline.pipeline import Pipeline

BAD = "\ud800"
"""No column holds half of a surrogate pair."""


class Broken(Exception):
    """The network is down."""


class Source:
    """Rows in pages of two that rise by `at`; it breaks off before a page, if it is told to."""

    def __init__(self, rows: list[dict[str, Any]] | None = None, page_rows: int = 2) -> None:
        self.rows = [{"id": n, "at": n // 3} for n in range(12)] if rows is None else rows
        self.page_rows = page_rows
        self.breaks_at: int | None = None
        self.asked: list[Any] = []
        self.read: list[int] = []

    def pages(self, rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        for number, start in enumerate(range(0, len(rows), self.page_rows)):
            if number == self.breaks_at:
                raise Broken
            self.read.append(number)
            yield [dict(row) for row in rows[start : start + self.page_rows]]

    def rising(self, **hints: Any) -> Any:
        """A resource that asks from where its cursor stands."""

        @dlt.resource(**{"name": "rows", "checkpoint": 1, **hints})
        def rising(at: Any = dlt.sources.incremental("at", row_order="asc")) -> Iterator[Any]:
            self.asked.append(at.last_value)
            yield from self.pages([row for row in self.rows if at.last_value is None or row["at"] >= at.last_value])

        return rising

    def walked(self, *, cursor: bool = False, **hints: Any) -> Any:
        """A resource that reads a list whose pages carry their positions."""

        def pages() -> Iterator[Any]:
            positions = kept_positions()
            walk = positions.begin("rows") if positions is not None else None
            if walk is not None and walk.is_done:
                return
            first = walk.start["page"] if walk is not None and walk.start is not None else 0
            all_pages = range(0, len(self.rows), self.page_rows)
            for number in range(first, len(all_pages)):
                if number == self.breaks_at:
                    raise Broken
                self.read.append(number)
                start = all_pages[number]
                page = PageOfList([dict(row) for row in self.rows[start : start + self.page_rows]])
                bookmark = {"page": number + 1} if number + 1 < len(all_pages) else None
                page.position = Position(walk.key, bookmark) if walk is not None else None
                yield page

        @dlt.resource(**{"name": "rows", "checkpoint": 1, **hints})
        def walked() -> Iterator[Any]:
            yield from pages()

        @dlt.resource(**{"name": "rows", "checkpoint": 1, **hints})
        def walked_by_cursor(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            self.asked.append(at.last_value)
            yield from pages()

        return walked_by_cursor if cursor else walked


class PageOfList(list[Any]):
    position: Position | None = None


def pipeline(**arguments: Any) -> Pipeline:
    return Pipeline("parts", destination=dlt.destinations.memory(), dataset_name="d", **arguments)


def table(of: Pipeline, name: str = "rows", column: str = "id") -> list[Any]:
    if name not in of.dataset().tables:
        return []
    return sorted(row[0] for row in of.dataset()[name].select(column).fetchall())


def state(of: Pipeline) -> dict[str, Any]:
    sources = of.state.get("sources", {})
    return dict(sources.get("parts", {}).get("resources", {}).get("rows", {}))


def fail(of: Pipeline, *data: Any, **arguments: Any) -> PipelineStepFailed:
    with pytest.raises(PipelineStepFailed) as failure:
        of.run(list(data), **arguments)
    return failure.value


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_a_rising_cursor_goes_on_where_the_last_checkpoint_stood(disposition: str) -> None:
    source, loads = Source(), pipeline()
    hints = {"write_disposition": disposition, "primary_key": "id"}
    source.breaks_at = 4

    failure = fail(loads, source.rising(**hints))

    assert isinstance(failure.__cause__, Broken)
    assert str(failure).endswith("\nCommitted all the same: 'rows' up to checkpoint 4.")
    assert failure.checkpoints == {"rows": 4}
    assert table(loads) == list(range(8))
    assert len(failure.load_info.loads_ids) == 4
    source.breaks_at = None
    report = loads.run(source.rising(**hints)).resources["rows"]
    assert table(loads) == list(range(12))
    assert source.asked == [None, 2]
    assert (report.total_rows, report.rows_inserted, report.cursor_after) == (12, 12, 3)
    assert report.load_ids[:4] == failure.load_info.loads_ids
    assert "_dlt_checkpoint" not in state(loads)
    assert loads.run(source.rising(**hints)).is_empty


def test_what_no_cursor_and_no_page_tells_is_committed_in_one_piece(caplog: pytest.LogCaptureFixture) -> None:
    loads = pipeline()

    info = loads.run(dlt.resource(lambda: ([{"id": n}] for n in range(9)), name="rows", checkpoint=2))

    assert len(info.loads_ids) == 1
    assert table(loads) == list(range(9))
    assert "has no cursor with row_order='asc'" in caplog.text


def test_records_that_come_one_by_one_are_cut_where_they_fill_a_page() -> None:
    loads = pipeline()

    @dlt.resource(checkpoint=1)
    def rows(at: Any = dlt.sources.incremental("id", row_order="asc")) -> Iterator[Any]:
        for number in range(2_500):
            yield {"id": number}
        raise Broken

    fail(loads, rows)

    assert table(loads) == list(range(2_000))


@pytest.mark.parametrize("walked", [False, True])
def test_the_clock_and_the_configuration_say_when(walked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        seconds = 0.0

        def now(self) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC)

        def monotonic(self) -> float:
            self.seconds += 0.001
            return self.seconds

        def sleep(self, seconds: float) -> None:
            self.seconds += seconds

    clock = Clock()
    loads = pipeline(clock=clock)
    source = Source()
    monkeypatch.setenv("EXTRACT__CHECKPOINT_MINUTES", "5")

    def slowly(page: Any) -> Any:
        clock.sleep(120)
        return page

    resource = (source.walked if walked else source.rising)(checkpoint=None)

    # Six pages of two minutes: due behind the third and, as a whole, behind the sixth.
    assert len(loads.run(resource.add_step(slowly)).loads_ids) == (2 if walked else 3)
    assert table(loads) == list(range(12))


# --- what is committed with each part --------------------------------------------------------------------------------


@pytest.mark.parametrize("walked", [False, True])
def test_state_goes_with_the_rows_that_were_there_when_it_was_set(walked: bool) -> None:
    loads = pipeline()
    source = Source()

    def counted(page: Any) -> Any:
        dlt.current.source_state()["pages"] = dlt.current.source_state().get("pages", 0) + 1
        return page

    resource = (source.walked if walked else source.rising)()
    source.breaks_at = 4
    fail(loads, resource.add_step(counted), commit="resource")
    assert loads.state["sources"]["parts"]["pages"] == len(table(loads)) // 2 == (3 if walked else 4)
    source.breaks_at = None
    loads.run(resource, commit="resource")

    assert table(loads) == list(range(12))


def test_resources_beside_it_commit_with_the_run_and_their_state_is_merged() -> None:
    loads, source = pipeline(), Source()

    @dlt.resource(name="before")
    def before() -> Iterator[Any]:
        dlt.current.source_state()["before"] = 1
        yield {"id": 1}

    @dlt.resource(name="behind")
    def behind() -> Iterator[Any]:
        dlt.current.source_state()["behind"] = 2
        yield {"id": 2}

    def note(page: Any) -> Any:
        dlt.current.source_state()["pages"] = dlt.current.source_state().get("pages", 0) + 1
        return page

    info = loads.run([before, source.rising().add_step(note), behind])

    assert (table(loads, "before"), table(loads), table(loads, "behind")) == ([1], list(range(12)), [2])
    shared = loads.state["sources"]["parts"]
    assert (shared["before"], shared["pages"], shared["behind"]) == (1, 6, 2)
    assert len(info.loads_ids) == 7
    assert loads.last_trace.last_normalize_info.row_counts["rows"] == 12


def test_nested_rows_and_new_columns_come_with_their_parts() -> None:
    rows = [{"id": n, "at": n, "tags": ["a", "b"], **({"late": n} if n > 5 else {})} for n in range(8)]
    source, loads = Source(rows), pipeline()

    report = loads.run(source.rising()).resources["rows"]

    assert report.tables["rows__tags"].loaded == 16
    assert [row for row in loads.dataset().rows.select("late").fetchall() if row[0] is not None] == [(6,), (7,)]
    assert {column.name for column in report.columns} >= {"id", "at", "late"}


def test_another_worker_that_commits_in_between_is_named_and_nothing_comes_twice() -> None:
    source, loads = Source(), pipeline()
    other = Pipeline("parts", destination=loads.destination, dataset_name="d")
    winners: list[str] = []

    def meanwhile(page: Any) -> Any:
        if page[0]["id"] == 4:
            winners.extend(other.run(Source().rising()).loads_ids)
        return page

    failure = fail(loads, source.rising().add_step(meanwhile))

    assert isinstance(failure.__cause__, CommitConflictError)
    assert failure.__cause__.winner_load_id == winners[-1]
    assert table(loads) == list(range(12))


# --- what cannot be divided ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "reason"),
    [
        ({"write_disposition": "replace"}, "is replaced"),
        ({"write_disposition": {"disposition": "merge", "strategy": "scd2"}}, "count as gone"),
        ({"write_disposition": "merge", "primary_key": "id", "merge_key": "at"}, "merge key"),
        (
            {"write_disposition": "merge", "primary_key": "id", "columns": {"at": {"dedup_sort": "desc"}}},
            "only the whole load can tell",
        ),
    ],
)
def test_what_parts_would_get_wrong_is_refused_or_committed_whole(hints: dict[str, Any], reason: str) -> None:
    rows = [[{"id": 1, "at": 1}], [{"id": 2, "at": 2}]]
    with pytest.raises(DeclarationError, match=reason):
        pipeline().run(dlt.resource(rows, name="rows", checkpoint=1, **hints))

    loads = pipeline()
    assert len(loads.run(dlt.resource(rows, name="rows", **hints), checkpoint=1).loads_ids) == 1
    assert table(loads) == [1, 2]


def test_hints_that_come_with_a_row_are_heeded_too(caplog: pytest.LogCaptureFixture) -> None:
    source, loads = Source(), pipeline()
    replaces = dlt.mark.make_hints(write_disposition="replace")

    info = loads.run(source.rising().add_step(lambda page: dlt.mark.with_hints(page, replaces)))

    assert len(info.loads_ids) == 1
    assert "is replaced, and would be seen, and left, in part" in caplog.text
    assert table(loads) == list(range(12))


def test_rows_without_their_key_are_merged_by_content_as_a_whole() -> None:
    source, loads = Source([{"at": n // 4, "v": n % 2} for n in range(8)]), pipeline()

    info = loads.run(source.rising(write_disposition="merge", primary_key="id"))

    assert len(info.loads_ids) == 1
    assert table(loads, column="v") == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("arguments", [{"window": ("0", "9")}, {"commit": "source"}])
def test_windows_and_sources_that_are_all_or_nothing_are_committed_whole(arguments: dict[str, Any]) -> None:
    source, loads = Source([{"id": n, "at": n} for n in range(6)]), pipeline()

    @dlt.resource(name="rows")
    def rows(at: Any = dlt.sources.incremental("at", initial_value=0, row_order="asc")) -> Iterator[Any]:
        yield from source.pages(source.rows)

    assert len(loads.run(rows, checkpoint=1, **arguments).loads_ids) == 1
    assert table(loads) == list(range(6))


@pytest.mark.parametrize("given", ["often", 0, -1, {"hours": 1}, {"pages": 0}, {}])
def test_a_checkpoint_of_another_kind_is_refused(given: Any) -> None:
    with pytest.raises(DeclarationError, match="Pass a number of pages"):
        dlt.resource([1], name="rows", checkpoint=given)


# --- limits, refreshes, attempts -------------------------------------------------------------------------------------


def test_a_limited_run_leaves_an_unfinished_walk_as_it_is() -> None:
    source, loads = Source(), pipeline()
    source.breaks_at = 4
    fail(loads, source.walked(write_disposition="merge", primary_key="id"))
    unfinished = state(loads)["_dlt_checkpoint"]
    source.breaks_at = None

    loads.run(source.walked(write_disposition="merge", primary_key="id").add_limit(1))
    assert state(loads)["_dlt_checkpoint"] == unfinished
    source.read.clear()
    loads.run(source.walked(write_disposition="merge", primary_key="id"))

    assert source.read == [3, 4, 5]
    assert table(loads) == list(range(12))


def test_a_refresh_takes_away_with_its_first_checkpoint_only() -> None:
    loads = pipeline()
    loads.run(Source([{"id": 99, "at": 0}]).rising())
    source = Source()
    source.breaks_at = 3
    fail(loads, source.rising(), refresh="drop_resources", idempotency_key="attempt")
    assert table(loads) == list(range(6))
    source.breaks_at = None

    report = loads.run(source.rising(), refresh="drop_resources", idempotency_key="attempt").resources["rows"]
    assert (table(loads), report.total_rows) == (list(range(12)), 12)
    assert source.asked == [None, 1]

    loads.run(source.rising(), refresh="drop_resources")
    assert source.asked == [None, 1, None]
    assert table(loads) == list(range(12))


def test_a_repeated_attempt_reports_all_its_parts() -> None:
    source, loads = Source(), pipeline()
    info = loads.run(source.rising(), idempotency_key="attempt")

    again = loads.run(source.rising(), idempotency_key="attempt").resources["rows"]

    assert (again.repeated, again.load_ids, again.rows_loaded, again.checkpoints) == (True, info.loads_ids, 12, 6)
    assert source.asked == [None]


def test_the_files_of_a_part_go_when_it_is_committed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlt_orchestrate.load.spool import Spool

    monkeypatch.setattr(Spool.__init__, "__defaults__", (1,))
    loads = dlt.pipeline("parts", destination="duckdb", dataset_name="d")
    left: list[int] = []

    def look(page: Any) -> Any:
        left.append(len(list(Path.home().rglob("*.arrows")) + list(project.rglob("*.arrows"))))
        return page

    loads.run(Source().rising().add_step(look))

    assert max(left) <= 1
    assert table(loads) == list(range(12))


# --- rejects ---------------------------------------------------------------------------------------------------------


def test_rejected_rows_are_counted_over_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAD__MAX_REJECTED_ROWS", "2")
    rows = [{"id": n, "at": n, "text": BAD if n % 2 else "good"} for n in range(12)]
    loads = pipeline()

    failure = fail(loads, Source(rows).rising())

    assert isinstance(failure.__cause__, TooManyRejectsError)
    assert failure.__cause__.rejected == 3
    assert table(loads) == [0, 2]
    assert loads.dataset()["_dlt_rejects"].count() == 2


def test_a_share_is_told_at_the_end_and_no_part_exceeds_it() -> None:
    rows = [{"id": n, "at": n, "text": BAD if n < 20 else "good"} for n in range(2_500)]
    loads = pipeline()

    report = loads.run(Source(rows, page_rows=500).rising()).resources["rows"]

    # 20 of 500 rows are few enough for so short a load, of 1,000 and of 1,500 too many, of 2,000 not.
    assert (report.checkpoints, report.rows_rejected, report.rows_loaded) == (3, 20, 2_480)


ROWS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=25)
@given(
    rows=ROWS,
    page_rows=st.integers(1, 3),
    every=st.integers(1, 3),
    breaks=st.lists(st.integers(0, 6), max_size=3),
    walked=st.booleans(),
    disposition=st.sampled_from(["append", "merge"]),
)
def test_whatever_breaks_and_is_rejected_every_row_is_there_once_in_the_end(
    rows: Any, page_rows: int, every: int, breaks: list[int], walked: bool, disposition: str
) -> None:
    """Rows that are rejected are asked for again, and loaded once they are mended, in parts or not."""
    given = [{"id": n, "at": at, "text": BAD if is_bad else "good"} for n, (at, is_bad) in enumerate(rows)]
    source = Source(given if walked else sorted(given, key=lambda row: row["at"]), page_rows)
    loads = pipeline()
    hints = {"write_disposition": disposition, "primary_key": "id", "checkpoint": every}

    def read() -> Any:
        return source.walked(cursor=True, **hints) if walked else source.rising(**hints)

    for breaks_at in [*breaks, None]:
        source.breaks_at = breaks_at
        with suppress(PipelineStepFailed):
            loads.run(read())
        assert len(table(loads)) == len(set(table(loads)))
    good = [row["id"] for row in given if row["text"] == "good"]
    assert table(loads) == sorted(good)
    assert "_dlt_checkpoint" not in state(loads)

    for row in source.rows:
        row["text"] = "good"
    loads.run(read())
    mended = table(loads)
    assert len(mended) == len(set(mended))
    # Of rows that are appended in any order, nobody knows which of a value came at an earlier checkpoint: it says so.
    if disposition == "merge" or not walked:
        assert mended == list(range(len(rows)))
    assert loads.run(read()).resources["rows"].rows_loaded == 0
    assert table(loads) == mended
