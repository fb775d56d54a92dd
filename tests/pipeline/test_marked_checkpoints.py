"""A resource that keeps in its state where it is, and marks where that holds, loses nothing when it breaks off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, PositionLostError
from dlt_orchestrate.flow.positions import Position, kept_positions
from dlt_orchestrate.pipeline.pipeline import Pipeline


class Broken(Exception):
    """The network is down."""


class Groups:
    """Groups of rows whose cursor values fall; the state tells which group comes next."""

    def __init__(self) -> None:
        self.groups = [[{"id": n, "at": 20 - n}, {"id": n + 1, "at": 19 - n}] for n in range(0, 8, 2)]
        self.breaks_at: int | None = 5

    def _rows(self) -> Iterator[Any]:
        state = dlt.current.resource_state()
        yield dlt.mark.checkpoint()
        for number in range(state.get("next", 0), len(self.groups)):
            for row in self.groups[number]:
                yield self._row(row)
                state["next"] = number + 1
            yield dlt.mark.checkpoint()

    def _row(self, row: dict[str, Any]) -> Any:
        if row["id"] == self.breaks_at:
            raise Broken
        return [dict(row)]

    def plain(self) -> Any:
        @dlt.resource(name="rows", checkpoint=1)
        def rows() -> Iterator[Any]:
            yield from self._rows()

        return rows

    def with_a_cursor(self) -> Any:
        @dlt.resource(name="rows", checkpoint=1)
        def rows(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield from self._rows()

        return rows

    def with_a_rising_cursor(self) -> Any:
        @dlt.resource(name="rows", checkpoint=1)
        def rows(at: Any = dlt.sources.incremental("id", row_order="asc")) -> Iterator[Any]:
            yield from self._rows()

        return rows

    def deferred(self) -> Any:
        @dlt.resource(name="rows", checkpoint=1)
        def rows() -> Iterator[Any]:
            read_ahead = threading.Event()

            @dlt.defer
            def get(row: dict[str, Any]) -> Any:
                read_ahead.wait(0 if row["id"] else 0.2)  # long enough to be passed, if anything may pass it
                return self._row(row)

            state = dlt.current.resource_state()
            yield dlt.mark.checkpoint()
            for number in range(state.get("next", 0), len(self.groups)):
                for row in self.groups[number]:
                    yield get(row)
                state["next"] = number + 1
                yield dlt.mark.checkpoint()
            read_ahead.set()

        return rows


def pipeline() -> Pipeline:
    return Pipeline("parts", destination=dlt.destinations.memory(), dataset_name="d")


def ids(of: Pipeline) -> list[int]:
    return sorted(row[0] for row in of.dataset().rows.select("id").fetchall())


@pytest.mark.parametrize("kind", ["plain", "with_a_cursor", "with_a_rising_cursor", "deferred"])
def test_what_was_marked_is_committed_and_the_rest_comes_once(kind: str) -> None:
    source, into = Groups(), pipeline()
    rows = getattr(source, kind)()

    with pytest.raises(PipelineStepFailed):
        into.run(rows)
    assert ids(into) == [0, 1, 2, 3]

    source.breaks_at = None
    into.run(rows)
    assert ids(into) == list(range(8))


def test_the_cursor_moves_once_all_has_been_read() -> None:
    source, into = Groups(), pipeline()
    rows = source.with_a_cursor()
    with pytest.raises(PipelineStepFailed):
        into.run(rows)
    source.breaks_at = None
    into.run(rows)

    source.groups = [[{"id": 90, "at": 19}, {"id": 91, "at": 21}]]
    into.run(rows)
    assert ids(into) == list(range(8))  # the state still says that all groups were read

    source.groups = [[]] * 4 + source.groups
    into.run(rows)
    assert ids(into) == [*range(8), 91]


def test_marks_in_the_place_of_pages_do_not_go_on_from_a_page() -> None:
    class Page(list[Any]):
        position: Position | None = None

    @dlt.resource(name="rows", checkpoint=1)
    def walked() -> Iterator[Any]:
        positions = kept_positions()
        assert positions is not None
        walk = positions.begin("rows")
        for number in range(3):
            page = Page([{"id": number}])
            page.position = Position(walk.key, {"page": number + 1})
            yield page
        raise Broken

    into = pipeline()
    with pytest.raises(PipelineStepFailed):
        into.run(walked)
    assert ids(into) == [0, 1]

    source = Groups()
    source.breaks_at = None
    with pytest.raises(PipelineStepFailed) as failure:
        into.run(source.plain())
    assert isinstance(failure.value.__cause__, PositionLostError)
    assert ids(into) == [0, 1]
