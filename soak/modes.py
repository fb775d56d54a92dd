"""The ways to write: how the orders are declared and run in each, and what must then be there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dlt_orchestrate as dlt
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.paginators import JSONLinkPaginator
from soak.shop_api import ADDRESS, shop_api
from soak.world import Record, World, moment, pages

Expected = list[tuple[Record, bool]]
"""The orders that must be there, each with whether it is the current version of itself."""


@dataclass(frozen=True)
class Mode:
    """A way to write the orders.

    Attributes:
        expected: What is there after versions 1 to n were loaded, each once.
        hints: How the resource is declared.
        is_full: Whether every load brings all orders, so that it needs no cursor.
        windowed: Whether a load covers the window of its version only.
        refresh: What each load resets.
        repeats: Whether a load that is run again commits again, with the same outcome.
        partial: What is there after versions 1 to n and some of the changes of the next one, in order, if a load is
            committed in parts.
        is_paged: Whether it reads the orders from an API, page by page, and goes on from a page, not by its cursor.
    """

    name: str
    expected: Callable[[World, int], Expected]
    hints: dict[str, Any] = field(default_factory=dict)
    is_full: bool = False
    windowed: bool = False
    refresh: str | None = None
    repeats: bool = False
    partial: Callable[[World, int, int], Expected] | None = None
    is_paged: bool = False

    def arguments(self, version: int) -> dict[str, Any]:
        """What `Pipeline.run` is told."""
        window = {"window": (moment(version), moment(version + 1))} if self.windowed else {}
        return {**window, **({"refresh": self.refresh} if self.refresh else {})}

    def source(self, world: World, version: int, begin: Callable[[], None] = lambda: None) -> Any:
        """The shop, as it is in a version; `begin` is called when a resource begins to be read."""

        def read(after: str) -> Any:
            begin()
            return pages([order for order in world.orders(version) if order["at"] >= after])

        @dlt.resource(name="orders", **self.hints)
        def all_orders() -> Any:
            yield from read(moment(0))

        @dlt.resource(name="orders", **self.hints)
        def new_orders(at: Any = dlt.sources.incremental("at", initial_value=moment(0))) -> Any:  # noqa: B008
            yield from read(at.last_value)

        @dlt.resource(name="orders", **self.hints)
        def pages_of_orders(at: Any = dlt.sources.incremental("at", initial_value=moment(0))) -> Any:  # noqa: B008
            begin()
            with shop_api(world, version) as session:
                params = {"after": at.last_value}
                yield from paginate(ADDRESS, params=params, paginator=JSONLinkPaginator(), session=session)

        @dlt.resource(name="orders", **self.hints)
        def rising_orders(
            at: Any = dlt.sources.incremental("at", initial_value=moment(0), row_order="asc"),  # noqa: B008
        ) -> Any:
            yield from read(at.last_value)

        @dlt.resource
        def visits(at: Any = dlt.sources.incremental("at", initial_value=moment(0))) -> Any:  # noqa: B008
            begin()
            dlt.current.source_state()["version"] = version
            yield from pages([visit for visit in world.visits(version) if visit["at"] >= at.last_value], size=100)

        @dlt.source(name="shop")
        def shop() -> Any:
            orders = rising_orders if self.partial else new_orders
            return [pages_of_orders if self.is_paged else all_orders if self.is_full else orders, visits]

        return shop()


def _every_change(world: World, version: int) -> Expected:
    return [(order, True) for n in range(1, version + 1) for order in world.changed(n)]


def _newest(world: World, version: int) -> Expected:
    return [(order, True) for order in {order["id"]: order for order, _ in _every_change(world, version)}.values()]


def _first(world: World, version: int) -> Expected:
    return [(o, True) for o in {order["id"]: order for order, _ in reversed(_every_change(world, version))}.values()]


def _present(world: World, version: int) -> Expected:
    return [(order, True) for order in world.orders(version)]


def _versions(world: World, version: int) -> Expected:
    current = {(order["id"], order["v"]) for order in world.orders(version)}
    return [(order, (order["id"], order["v"]) in current) for order, _ in _every_change(world, version)]


def _appended_in_part(world: World, version: int, changes: int) -> Expected:
    return [*_every_change(world, version), *((order, True) for order in world.changed(version + 1)[:changes])]


def _merged_in_part(world: World, version: int, changes: int) -> Expected:
    appended = _appended_in_part(world, version, changes)
    return [(order, True) for order in {order["id"]: order for order, _ in appended}.values()]


def _merge(strategy: str, **hints: Any) -> dict[str, Any]:
    return {"write_disposition": {"disposition": "merge", "strategy": strategy}, **hints}


MODES = {
    mode.name: mode
    for mode in (
        Mode("append", _every_change),
        Mode("replace", _present, {"write_disposition": "replace"}, is_full=True, repeats=True),
        Mode("delete-insert", _newest, _merge("delete-insert", primary_key="id")),
        Mode("upsert", _newest, _merge("upsert", primary_key="id")),
        Mode("insert-only", _first, _merge("insert-only", primary_key="id")),
        Mode("scd2", _versions, _merge("scd2"), is_full=True, repeats=True),
        Mode("append-window", _every_change, windowed=True, repeats=True),
        Mode("replace-window", _every_change, {"write_disposition": "replace"}, windowed=True, repeats=True),
        Mode("merge-window", _newest, _merge("delete-insert", primary_key="id"), windowed=True, repeats=True),
        Mode("drop-sources", _present, refresh="drop_sources", repeats=True),
        Mode("drop-resources", _present, _merge("upsert", primary_key="id"), refresh="drop_resources", repeats=True),
        Mode("drop-data", _present, refresh="drop_data", repeats=True),
        Mode("append-checkpoints", _every_change, {"checkpoint": 1}, partial=_appended_in_part),
        Mode("append-positions", _every_change, {"checkpoint": 1}, partial=_appended_in_part, is_paged=True),
        Mode(
            "merge-checkpoints",
            _newest,
            {**_merge("delete-insert", primary_key="id"), "checkpoint": 1},
            partial=_merged_in_part,
        ),
    )
}
