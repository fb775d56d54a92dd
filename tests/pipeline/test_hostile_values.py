"""Whatever a source yields, each row is in its table or among the rejects, and the next run loads as if there were none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from postgres_server import clean_database

import dlt_orchestrate as dlt
from dlt_orchestrate import destinations
from dlt_orchestrate.protocols.destination import Destination

KINDS = ("duckdb", "memory", "postgres")


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Destination]:
    """A destination that is empty."""
    match kind:
        case "duckdb":
            yield destinations.duckdb(folder / "hostile.duckdb")
        case "postgres":
            with clean_database() as url:
                yield destinations.postgres(url)
        case _:
            yield destinations.memory()


@pytest.fixture(params=KINDS)
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    with opened(request.param, tmp_path) as found:
        yield found


def nested(levels: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = make(value)
    return value


def in_itself() -> dict[str, Any]:
    inner: dict[str, Any] = {"n": 1}
    inner["again"] = [inner]
    return inner


class Colour(Enum):
    RED = "red"


class Sly:
    def __repr__(self) -> str:
        raise RuntimeError("no")


VALUES: dict[str, Any] = {
    "2^53": 2**53 + 1,
    "2^63": 2**63,
    "2^64": 2**64,
    "-2^63-1": -(2**63) - 1,
    "10^38": 10**38,
    "integer of 5,000 digits": 10**5000,
    "decimal of 60 digits": Decimal("1" * 60),
    "decimal of 60 places": Decimal("0." + "1" * 60),
    "decimal NaN": Decimal("NaN"),
    "decimal sNaN": Decimal("sNaN"),
    "decimal infinity": Decimal("-Infinity"),
    "decimal exponent": Decimal("1E+400"),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "1e400": json.loads("1e400"),
    "-0.0": -0.0,
    "denormal": 5e-324,
    "complex": 1 + 2j,
    "set": {1, 2},
    "object": object(),
    "object that cannot be printed": Sly(),
    "class": Sly,
    "function": nested,
    "generator": iter([1]),
    "enum": Colour.RED,
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"x"),
    "memoryview": memoryview(b"xy"),
    "uuid": UUID(int=7),
    "year 1": date(1, 1, 1),
    "year 9999": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-10))),
    "year 1 in the east": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10))),
    "year 10000 as text": "+10000-01-01T00:00:00Z",
    "day 30 of February as text": "2024-02-30T00:00:00Z",
    "leap second as text": "2016-12-31T23:59:60Z",
    "time with a zone": time(1, 2, tzinfo=UTC),
    "timedelta": timedelta(days=-1, microseconds=1),
    "NUL": "a\0b",
    "NUL alone": "\0",
    "half of a surrogate pair": "\ud83d",
    "surrogates the wrong way round": "\udc00\ud800",
    "byte order mark": "\ufeffx",
    "right to left": "\u202eabc",
    "noncharacter": "\uffff",
    "zalgo": "Z" + "\u0301" * 500,
    "line separators": "a\u2028b\u2029c\x85d\r\n",
    "a megabyte": "x" * 2**20,
    "SQL": "'); DROP TABLE t; --",
    "empty text": "",
    "blank text": " ",
    "null as text": "NULL",
    "007": "007",
    "empty dict": {},
    "empty list": [],
    "list of nulls": [None, None],
    "list of lists": [[1], [[2]], []],
    "mixed list": [1, "a", None, {"k": 1}, [2.5], True],
    "500 dicts deep": nested(500, lambda value: {"k": value}),
    "10,000 dicts deep": nested(10_000, lambda value: {"k": value}),
    "150 lists deep": nested(150, lambda value: [value]),
    "10,000 lists deep": nested(10_000, lambda value: [value]),
    "dict in itself": in_itself(),
    "tuple": (1, 2),
    "bad value deep inside": {"a": [{"b": {"c": ["\ud800"]}}]},
    "bad key deep inside": {"a": [{"\ud800": 1}]},
}

KEYS: dict[str, dict[Any, Any]] = {
    "null": {None: 1},
    "blank": {" ": 1},
    "empty": {"": 1},
    "blank and empty": {" ": 1, "": 2, "  ": 3, "_": 4, "__": 5},
    "NUL": {"\0": 1, "a\0b": 2},
    "surrogate": {"\ud800": 1},
    "number": {1: "a", 2.5: "b", None: "c"},
    "number and its text": {1: "a", "1": "b"},
    "tuple": {(1, 2): "a"},
    "alike": {"userName": 1, "user_name": 2, "UserName": 3, "USER_NAME": 4, "user name": 5, "user-name": 6},
    "case": {"a": 1, "A": 2},
    "flattened and literal": {"a": {"b": 1}, "a__b": 2, "a.b": 3},
    "emoji": {"😀": 1, "👩‍👩‍👧": 2, "😁": 3},
    "CJK": {"名前": 1, "이름": 2},
    "combining": {"é": 1, "e\u0301": 2, "\u0301": 3},
    "system columns": {"_dlt_id": "x", "_dlt_load_id": 1, "_dlt_parent_id": 2, "_dlt_list_idx": 3, "_dlt_root_id": 4},
    "system columns in a list": {"items": [{"_dlt_id": "x", "_dlt_parent_id": 2, "_dlt_list_idx": 3}]},
    "overflow": {"_dlt_overflow": {"a": 1}, "_dlt_rejects": [1], "_dlt_valid_to": 3},
    "variant": {"v__v_text": 1, "v": 2},
    "SQL": {'"; DROP TABLE t; --': 1, "a'b": 2, 'a"b': 3, "x; y": 4, "$1": 5, "?": 6, "%s": 7},
    "reserved": {"select": 1, "from": 2, "order": 3, "table": 4, "group": 5, "user": 6, "null": 7, "true": 8},
    "of Python": {"__class__": 1, "__dict__": 2, "self": 3, "items": 4, "keys": 5},
    "a thousand characters": {"k" * 1_000: 1, "k" * 999 + "x": 2},
    "100,000 characters": {"k" * 100_000: 1},
    "line break": {"a\nb": 1, "a\r\nb": 2, "a\tb": 3},
    "digits": {"1": 1, "1a": 2, "+1": 3, "-1": 4},
    "slashes": {"../../etc/passwd": 1, "a/b": 2, "c:\\d": 3},
}

BATCHES: dict[str, dict[Any, Any]] = {
    **{f"value: {name}": {"v": value} for name, value in VALUES.items()},
    **{f"key: {name}": keys for name, keys in KEYS.items()},
}


BLOCKED_DLT = {
    *(
        f"value: {name}"
        for name in ("2^63", "2^64", "decimal of 60 digits", "year 9999", "NUL", "half of a surrogate pair")
    ),
    *(f"value: {name}" for name in ("NaN", "10,000 dicts deep", "mixed list")),
    *(f"key: {name}" for name in ("null", "blank", "alike", "system columns", "SQL")),
}
"""Run on every destination with each change; the others on destinations that are slow to open with the slow tests."""


def walk() -> Iterator[Any]:
    """Each batch on each destination."""
    for kind in KINDS:
        for name in BATCHES:
            marks = () if kind == "memory" or (kind == "duckdb" and name in BLOCKED_DLT) else (pytest.mark.slow,)
            yield pytest.param(kind, name, marks=marks)


class Kept:
    """What one table and its rejects hold, by the number that each row carries."""

    def __init__(self, destination: Destination, table: str = "t") -> None:
        self.pipeline = dlt.pipeline("hostile", destination=destination, dataset_name="hostile_data")
        self.table = table

    def run(self, rows: list[dict[Any, Any]], **hints: Any) -> None:
        self.pipeline.run(rows, table_name=self.table, **hints)

    def loaded(self) -> list[int]:
        dataset = self.pipeline.dataset()
        return sorted(n for (n,) in dataset(f'SELECT number FROM "{self.table}"').fetchall())

    def rejected(self) -> list[int]:
        rows = self.pipeline.dataset()["_dlt_rejects"].select("table_name", "row").fetchall()
        return sorted(int(text[text.index("NUMBER=") + 7 :].split(";")[0]) for name, text in rows if name == self.table)

    def orphans(self) -> int:
        """Nested rows without a row above them."""
        dataset = self.pipeline.dataset()
        count = 0
        ids = {n for (n,) in dataset(f'SELECT _dlt_id FROM "{self.table}"').fetchall()}
        for name in dataset.tables:
            if name.startswith(f"{self.table}__"):
                rows = dataset(f'SELECT _dlt_id FROM "{name}"').fetchall()
                count += sum(row_id.split(".")[0] not in ids for (row_id,) in rows)
        return count


def numbered(number: int, hostile: dict[Any, Any]) -> dict[Any, Any]:
    return {"number": number, "mark": f"NUMBER={number};", **hostile}


@pytest.mark.parametrize(("kind", "name"), list(walk()))
def test_a_hostile_row_is_loaded_or_rejected_and_blocks_nothing(tmp_path: Path, kind: str, name: str) -> None:
    hostile = BATCHES[name]
    with opened(kind, tmp_path) as found:
        kept = Kept(found)

        kept.run([numbered(0, {}), numbered(1, hostile), numbered(2, {"v": 1})])
        kept.run([numbered(3, {"v": 2, "w": [1]}), numbered(4, {})])
        kept.run([numbered(5, hostile)])

        loaded, rejected = kept.loaded(), kept.rejected()
        assert sorted(loaded + rejected) == [0, 1, 2, 3, 4, 5]
        assert set(rejected) <= {1, 5}
        assert kept.orphans() == 0


REJECTED = {
    "value: integer of 5,000 digits", "value: complex", "value: set", "value: object",
    "value: object that cannot be printed", "value: class", "value: function", "value: generator",
    "value: year 9999", "value: year 1 in the east", "value: timedelta", "value: half of a surrogate pair",
    "value: surrogates the wrong way round", "value: 500 dicts deep", "value: 10,000 dicts deep",
    "value: 10,000 lists deep", "value: dict in itself", "value: bad value deep inside", "value: bad key deep inside",
    "key: surrogate", "key: number and its text",
}  # fmt: skip


WITH_NUL = {"value: NUL", "value: NUL alone", "key: NUL"}


def test_only_what_nothing_can_hold_is_rejected(destination: Destination) -> None:
    kept = Kept(destination)

    kept.run([numbered(number, hostile) for number, hostile in enumerate(BATCHES.values())])

    names = list(BATCHES)
    assert {names[number] for number in kept.rejected()} == REJECTED | (
        set() if destination.capabilities.holds_nul_in_text else WITH_NUL
    )


@pytest.mark.parametrize("hint", ["primary key", "not nullable"])
def test_a_null_in_a_key_or_in_a_column_that_takes_none_is_rejected(destination: Destination, hint: str) -> None:
    hints: dict[str, Any] = (
        {"primary_key": "k", "write_disposition": "merge"}
        if hint == "primary key"
        else {"columns": {"k": {"data_type": "bigint", "nullable": False}}}
    )
    kept = Kept(destination)

    kept.run([numbered(0, {"k": 1}), numbered(1, {"k": None, "w": [1]}), numbered(2, {}), numbered(3, {"k": 2})], **hints)
    kept.run([numbered(4, {"k": 3})], **hints)

    assert (kept.loaded(), kept.rejected(), kept.orphans()) == ([0, 3, 4], [1, 2], 0)


@dataclass(frozen=True)
class Named:
    """Stands for a value of the list, some of which cannot be printed."""

    name: str


def filled(value: Any) -> Any:
    match value:
        case Named(name):
            return VALUES[name]
        case dict():
            return {key: filled(inner) for key, inner in value.items()}
        case list():
            return [filled(inner) for inner in value]
        case _:
            return value


_ODD_KEYS = [*"a b A _dlt_id select".split(), "", " ", "\0", "a\0", "\ud800", "名", "a" * 200]
_keys = st.sampled_from(_ODD_KEYS) | st.text(max_size=4)
_leaves = st.sampled_from([Named(name) for name in VALUES]) | st.text(max_size=5) | st.integers() | st.floats()
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3), max_leaves=5
)


@settings(max_examples=20, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.dictionaries(_keys, _values, max_size=4), min_size=1, max_size=6))
@example(rows=[{"A": Named("a megabyte"), "b": [{"a": Named("leap second as text"), "\ud800": 1}]}])
def test_any_rows_are_loaded_or_rejected_and_block_nothing(rows: list[dict[str, Any]]) -> None:
    kept = Kept(destinations.memory())

    kept.run([numbered(number, filled(row)) for number, row in enumerate(rows)])
    kept.run([numbered(len(rows), {})])

    assert sorted(kept.loaded() + kept.rejected()) == list(range(len(rows) + 1))
    assert kept.orphans() == 0
