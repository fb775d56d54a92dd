"""Whatever records hold, a load keeps: every value is found again, once, whatever came before or after it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from postgres_server import clean_database

import dlt_orchestrate as dlt
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.iso import parse_iso
from dlt_orchestrate.schema.table import SYSTEM_COLUMNS

KEYS = [
    *"a A a__b b value x x__v_text x__v_bigint x__v_decimal _dlt_id _dlt_load_id _dlt_overflow 日本 ä +1 _ __".split(),
    "",
    "a b",
]

_texts = st.sampled_from(
    "3 007 1.5 1.50 nan True 2024-01-02T03:04:05Z 2024-01-02T03:04:05 2024-01-02 01:02:03 "
    "9999-12-31T23:59:59-10:00 0000-01-01T00:00:00Z x YQ==".split()
) | st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
_numbers = st.one_of(
    st.integers(-(2**130), 2**130),
    st.sampled_from([0, 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**63, 10**38 - 1, 10**38]),
    st.floats(),
    st.sampled_from([1.0, 1.5, 2.0**60]),
    st.decimals(allow_nan=False, allow_infinity=False),
)
_moments = st.one_of(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)),
    st.dates(),
    st.times(),
)
_leaves = st.one_of(st.none(), st.booleans(), _numbers, _texts, _moments, st.binary(max_size=4))
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
_records = st.lists(st.dictionaries(st.sampled_from(KEYS), _values, max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize("kind", ["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(loads=st.lists(_records, min_size=1, max_size=3), max_columns=st.sampled_from([1_000, 10]))
@example(loads=[[{"x": [0, 0.5]}, {"x": 1, "y": 1}, {"y": 0.5}]], max_columns=10)
@example(loads=[[{"x": 1, "x__v_text": "mine"}, {"x": "abc", "x__v_text": "mine, too"}]], max_columns=10)
@example(loads=[[{"x": 1}, {"x": "abc"}], [{"x": "def", "x__v_text": "late"}]], max_columns=10)
@example(loads=[[{"x": -(2**63)}], [{"x": 2**63}], [{"x": Decimal("0.1")}]], max_columns=10)
@example(loads=[[{key: [{key: value} for key in KEYS] for key in KEYS}] for value in (1, "x")], max_columns=10)
@example(loads=[[dict.fromkeys(KEYS, value)] for value in (float("nan"), b"x", Decimal("1.50"))], max_columns=10)
@example(loads=[[{"x": Decimal("0.1")}, {"x": 10**38 - 1}, {"x": 2**98 + 1}]], max_columns=10)
def test_every_value_is_found_once_in_its_row(kind: str, loads: list[list[dict[str, Any]]], max_columns: int) -> None:
    with made(kind) as destination, pytest.MonkeyPatch.context() as patch:
        texts = [leaf for leaf in leaves(loads) if isinstance(leaf, str)]
        assume(destination.capabilities.holds_nul_in_text or "\0" not in "".join(texts))
        patch.setenv("SCHEMA__MAX_COLUMNS", str(max_columns))
        pipeline = dlt.pipeline("all", destination=destination, dataset_name="kept")
        for number, records in enumerate(loads):
            pipeline.run(records, table_name="t")
            expected = [said(record) for seen in loads[: number + 1] for record in seen]
            assert stored(destination) == expected


@contextmanager
def made(kind: str) -> Iterator[Destination]:
    with ExitStack() as stack:
        if kind == "postgres":
            yield dlt.destinations.postgres(stack.enter_context(clean_database()))
        else:
            yield dlt.destinations.duckdb(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "all.duckdb")


def said(value: Any) -> Counter[str]:
    """What a record says: its scalars, wherever they stand in it."""
    return Counter(spoken(leaf) for leaf in leaves(value) if leaf is not None)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def stored(destination: Destination) -> list[Counter[str]]:
    """What each root row says, with all rows nested in it, in the order of loads and rows."""
    with destination.reader("kept") as reader:
        data = [name for name in reader.tables() if not name.startswith("_dlt_")]
        tables = {name: reader.query(f"SELECT * FROM {reader.qualified(name)}").to_pylist() for name in data}
        rejected = reader.query("SELECT count(*) AS n FROM _dlt_rejects").to_pylist()
    assert rejected == [{"n": 0}]
    ids = [row["_dlt_id"] for row in sorted(tables["t"], key=lambda row: (row["_dlt_load_id"], row["_dlt_id"]))]
    found: dict[str, Counter[str]] = {row_id: Counter() for row_id in ids}
    for row in (row for rows in tables.values() for row in rows):
        root = row["_dlt_id"].split(".")[0]
        found[root] += Counter(spoken(v) for name, v in row.items() if v is not None and name not in SYSTEM_COLUMNS)
        found[root] += said(json.loads(row.get("_dlt_overflow") or "{}"))
    return [found[row_id] for row_id in ids]


def spoken(value: Any) -> str:
    """One text for all values that say the same: `3`, `3.0` and the text "3"; a moment and its ISO text."""
    match value:
        case bool():
            return str(value)
        case int() | float() | Decimal():
            return number_text(Decimal(str(value)))
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
        case date():
            return datetime.combine(value, time()).isoformat()
        case time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return next(readings(value), value)


def readings(text: str) -> Iterable[str]:
    """What a text says if it is read as a moment, a date or a number."""
    moment = parse_iso(text)
    if moment is not None:
        yield spoken(moment)
    for read in (date.fromisoformat, float, Decimal):
        try:
            value = read(text)
        except (ValueError, ArithmeticError):
            continue
        if text in (str(value), format(value, "f" if read is Decimal else "")):
            yield spoken(value)


def number_text(number: Decimal) -> str:
    if not number.is_finite():
        return str(number.copy_abs()) if number.is_nan() else str(number)
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    trimmed = text.rstrip("0")
    return f"{'-' if sign and trimmed else ''}{trimmed or 0}e{exponent + len(text) - len(trimmed) if trimmed else 0}"
