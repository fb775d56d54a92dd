"""The state that the resources of a source share commits with the rows that it goes with, whoever commits first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import dlt_orchestrate as dlt
from dlt_orchestrate.pipeline.pipeline import Pipeline


def pipeline() -> Pipeline:
    return Pipeline("parts", destination=dlt.destinations.memory(), dataset_name="d")


def test_what_the_source_has_set_goes_with_one_of_resources_that_begin_at_once() -> None:
    side_by_side = threading.Barrier(2)

    @dlt.source
    def shop() -> Any:
        dlt.current.source_state()["opened"] = True

        def numbers(at: Any = dlt.sources.incremental("id", row_order="asc")) -> Iterator[Any]:
            side_by_side.wait(20)
            yield from ([{"id": number}] for number in range(3))

        return [dlt.resource(numbers, name=name, parallelized=True, checkpoint=1) for name in ("left", "right")]

    into = pipeline()
    for _ in range(5):
        into = pipeline()
        info = into.run(shop())
        assert set(info.resources) == {"left", "right"}
        assert into.state["sources"]["shop"]["opened"] is True


def test_a_checkpoint_leaves_out_what_a_resource_has_set_whose_rows_are_not_there() -> None:
    into = pipeline()
    seen: list[dict[str, Any]] = []

    @dlt.source
    def shop() -> Any:
        dlt.current.source_state()["opened"] = True

        @dlt.resource
        def orders() -> Iterator[Any]:
            yield [{"id": 1}]
            dlt.current.source_state()["orders_are_read"] = True

        @dlt.resource(checkpoint=1)
        def visits(at: Any = dlt.sources.incremental("id", row_order="asc")) -> Iterator[Any]:
            for number in range(3):
                dlt.current.source_state()["visits_read"] = number
                yield [{"id": number}]
                seen.append(dict(into.state.get("sources", {}).get("shop", {})))

        return orders, visits

    into.run(shop())

    assert [state.get("visits_read") for state in seen] == [0, 1, 2]
    assert not any("orders_are_read" in state for state in seen)
    assert into.state["sources"]["shop"].items() >= {"opened": True, "orders_are_read": True, "visits_read": 2}.items()
