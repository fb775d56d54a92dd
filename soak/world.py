"""A shop whose records change from version to version; one seed is one history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

Record = dict[str, Any]

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def moment(version: int) -> str:
    """When the records of a version changed, as the source writes it."""
    return (_EPOCH + timedelta(hours=version)).isoformat().replace("+00:00", "Z")


class World:
    """The history of one shop: version 0 is empty; each further one adds, changes and removes orders, and adds visits."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def changed(self, version: int) -> tuple[Record, ...]:
        """The orders that are new or changed in a version."""
        return _changed(self.seed, version)

    def orders(self, version: int) -> list[Record]:
        """Every order that the shop has in a version, those that changed last come last."""
        return list(_current(self.seed, version).values())

    def visits(self, version: int) -> list[Record]:
        """Every visit up to a version."""
        return [
            {"id": f"{n}-{number}", "at": moment(n), "page": f"/{n % 3}"}
            for n in range(1, version + 1)
            for number in range(1 + n % 2)
        ]


@cache
def _current(seed: int, version: int) -> dict[int, Record]:
    if version == 0:
        return {}
    orders = dict(_current(seed, version - 1))
    draw = Random(f"{seed} {version}")
    for gone in draw.sample(sorted(orders), 1 if version > 2 and draw.random() < 0.4 else 0):
        del orders[gone]
    for number in draw.sample(sorted(orders), min(2, len(orders))):
        del orders[number]
        orders[number] = _order(number, version, draw)
    for number in range(version * 10, version * 10 + draw.randint(1, 3)):
        orders[number] = _order(number, version, draw)
    return orders


@cache
def _changed(seed: int, version: int) -> tuple[Record, ...]:
    return tuple(order for order in _current(seed, version).values() if order["v"] == version)


def _order(number: int, version: int, draw: Random) -> Record:
    """An order; its total begins as an integer and gets a fraction, and every third version brings a new column."""
    return {
        "id": number,
        "at": moment(version),
        "v": version,
        "total": version + 0.5 if version % 3 == 0 else version,
        "tags": [draw.choice("abcdef") for _ in range(draw.randint(0, 3))],
        "lines": [
            {"sku": draw.choice("xyz"), "parts": [{"n": part} for part in range(draw.randint(0, 2))]}
            for _ in range(draw.randint(0, 2))
        ],
        **({f"extra_{version}": f"of {number}"} if version % 3 == 0 else {}),
    }


def pages(records: list[Record], size: int = 2) -> Iterator[list[Record]]:
    """The records, a few at a time."""
    for start in range(0, len(records), size):
        yield records[start : start + size]
