"""Both engines do the same, however the records come: the laws of normalize, over generated records."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, timedelta, timezone
from decimal import Context, Decimal
from enum import Enum
from zoneinfo import ZoneInfo

import pytest
from comparison import PREFIX, contents, normalize_pages
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlt_orchestrate.flow.batch import FieldKey
from dlt_orchestrate.normalize.classify import Unholdable, classify, nested
from dlt_orchestrate.normalize.ids import ALPHABET
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.paths import LIST
from dlt_orchestrate.schema.table import ColumnHint
from dlt_orchestrate.schema.types import JSON, ValueClass


class Colour(Enum):
    RED = "red"


class Label(str):
    __slots__ = ()


KEYS = st.sampled_from(["a", "A", "a ", "a.b", "a__b", "b", "value", "list", "id", "\u00e9", ""])
NASTY_KEYS = KEYS | st.sampled_from([1, None, "1", Label("a"), "\ud800"])

INTEGERS = st.integers() | st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**38 - 1, 10**38])
FLOATS = st.floats() | st.sampled_from([2.0, 1.5])
TEXTS = st.text(max_size=4) | st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "2024-01-01", "x\0y", "null"])
DECIMALS = st.decimals(allow_nan=True, allow_infinity=True, places=3) | st.sampled_from(
    [Decimal("1.50"), Decimal("1E+3"), Decimal("1E-39"), Decimal("9" * 39), Decimal("sNaN"), Decimal("-0.0")]
)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), ZoneInfo("Europe/Berlin")])
MOMENTS = st.datetimes(timezones=ZONES)
JSON_SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS
SCALARS = (
    JSON_SCALARS | DECIMALS | MOMENTS | st.dates() | st.times(timezones=ZONES) | st.binary(max_size=3) | st.uuids()
    | st.sampled_from([Colour.RED, Label("x"), bytearray(b"b"), True])
)  # fmt: skip
UNHOLDABLE = st.sampled_from([{1}, 1j, object, timedelta(1), "\ud800", {1: "a", "1": "b"}])


def within(leaves, keys=KEYS):
    def deeper(inner):
        return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4) | st.tuples(inner)

    return st.recursive(leaves, deeper, max_leaves=8)


def records_of(leaves, keys=KEYS):
    """Records that often share their shape, so that the fast path has something to take."""
    shaped = st.fixed_dictionaries({"id": leaves, "b": within(leaves, keys)}, optional={"a": within(leaves, keys)})
    return st.lists(shaped | st.dictionaries(keys, within(leaves, keys), max_size=4) | within(leaves, keys), max_size=6)


RECORDS = records_of(SCALARS)
NASTY_RECORDS = records_of(SCALARS | UNHOLDABLE, NASTY_KEYS)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "max_nesting": st.integers(0, 3),
        "columns": st.sampled_from([{"a": ColumnHint(type=JSON)}, {"b": ColumnHint(nullable=False)}]),
        "primary_key": st.just(("id",)),
        "write_disposition": st.just("merge"),
        "capabilities": st.just(Capabilities(holds_nul_in_text=False, earliest_year=1900, latest_year=2100)),
    },
)

FEW_COLUMNS = st.builds(
    lambda options, most: {**options, "capabilities": Capabilities(max_columns=most)}, OPTIONS, st.integers(1, 4)
)

EXACT = Context(prec=80)

generously = settings(max_examples=100)


def streams(batches):
    """The tables of the rows with a key, and of those without."""
    return (
        contents(batch for keyless, batch in batches if not keyless),
        contents(batch for keyless, batch in batches if keyless),
    )


@generously
@given(NASTY_RECORDS, OPTIONS | FEW_COLUMNS)
@example(  # at the set the fast path gives up, and the last element has taken a place that the second record has a key for
    [
        {"id": None, "b": None},
        {"id": None, "b": ({"a": None, "A": None, "value": None},)},
        {"id": {1}, "b": None},
        {"a": None, "b": (None,)},
    ],
    {"capabilities": Capabilities(max_columns=2)},
)
def test_the_fast_path_does_what_the_reference_does(records, options):
    expected, reference = normalize_pages([records], oracle=True, **options)

    found, fast = normalize_pages([records], **options)

    assert streams(found) == streams(expected)
    orders = [[{k: t.field_order for k, t in stream.items()} for stream in streams(b)] for b in (found, expected)]
    assert orders[0] == orders[1]
    assert [(r.column, r.cause) for r in fast.rejects] == [(r.column, r.cause) for r in reference.rejects]
    assert (fast.rows_seen, fast.reject_count) == (reference.rows_seen, reference.reject_count)
    assert (fast.keyed_count, fast.keyless_count) == (reference.keyed_count, reference.keyless_count)


@generously
@given(NASTY_RECORDS, OPTIONS | FEW_COLUMNS, st.data())
def test_where_pages_end_changes_nothing(records, options, data):
    whole, _ = normalize_pages([records], **options)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=4)))

    bounds = zip([0, *cuts], [*cuts, len(records)], strict=True)
    parts, _ = normalize_pages([records[start:end] for start, end in bounds], **options)

    assert streams(parts) == streams(whole)
    for part, table in zip(streams(parts), streams(whole), strict=True):
        assert {key: t.field_order for key, t in part.items()} == {key: t.field_order for key, t in table.items()}


@generously
@given(RECORDS, OPTIONS, st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing_but_the_order_of_columns(records, options, random):
    expected, _ = normalize_pages([records], **options)

    found, _ = normalize_pages([[shuffled(record, random) for record in records]], **options)

    assert streams(found) == streams(expected)


@generously
@given(RECORDS)
def test_every_value_of_every_accepted_record_is_found_exactly_once(records):
    batches, _ = normalize_pages([records])

    found = Counter(
        (row["id"], table.path + key.path, text)
        for table, held in contents(batch for _, batch in batches).items()
        for row in held.rows
        for key, text in row.items()
        if isinstance(key, FieldKey)
    )
    accepted = [record for record in roots(records) if is_holdable(record)]
    assert found == Counter(leaf for number, record in enumerate(accepted) for leaf in leaves(record, number))


def shuffled(value, random):
    if isinstance(value, dict):
        items = [(key, shuffled(inner, random)) for key, inner in value.items()]
        random.shuffle(items)
        return dict(items)
    return [shuffled(inner, random) for inner in value] if isinstance(value, list | tuple) else value


def roots(records):
    for record in records:
        if isinstance(record, list | tuple):
            yield from roots(record)
        elif record is not None:
            yield record


def leaves(record, number):
    """(row id, keys, stored value) of each value, told without regard to tables."""

    def walk(value, row_id, path, *, in_list):
        inner = nested(value)
        if isinstance(inner, dict):
            for key, item in inner.items():
                yield from walk(item, row_id, (*path, key), in_list=False)
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                yield from walk(item, f"{row_id}.{index}", (*path, LIST) if in_list else path, in_list=True)
        elif (classified := classify(value, Capabilities())) is not None:
            yield row_id, (*path, "value") if in_list or not path else path, printed(*classified)

    return walk(record, f"{PREFIX}-----{ALPHABET[number]}", (), in_list=False)


def printed(value_class, stored):
    """A stored value as Arrow gives it back."""
    match value_class:
        case ValueClass.WIDE:
            return repr(Decimal(stored))
        case ValueClass.DECIMAL:
            return repr(EXACT.add(EXACT.quantize(stored, Decimal("1E-38")), 0))
        case ValueClass.TIMESTAMP:
            return repr(stored.astimezone(ZoneInfo("UTC")))
        case ValueClass.TIME | ValueClass.NAIVE_TIMESTAMP:
            return repr(stored.replace(fold=0))
        case _:
            return repr(stored)


def is_holdable(record):
    try:
        list(leaves(record, 0))
    except Unholdable:
        return False
    return True


@pytest.mark.parametrize("late", [{"id": 700}, {"id": 700, "a": 1, "b": 2}, {"a": None}, {}, {"b": {"c": 1}}])
def test_a_record_of_another_shape_may_come_late(late):
    records = [{"id": n, "a": n % 3 or None} for n in range(700)]

    found, _ = normalize_pages([[*records, late]])

    assert streams(found) == streams(normalize_pages([[*records, late]], oracle=True)[0])


@pytest.mark.parametrize("oracle", [False, True])
def test_ids_follow_the_order_of_rows_over_chunks(oracle):
    records = [{"id": n, "tags": ["x"] * (n % 3)} for n in range(4_100)]

    batches, _ = normalize_pages([records[:1], records[1:]], oracle=oracle)

    ids = [row["id"] for row in next(iter(contents(b for _, b in batches).values())).rows]
    assert ids == sorted(set(ids))
    assert ids[0] == f"{PREFIX}------"
    assert ids[4096] == f"{PREFIX}---0--"
    assert len(ids) == 4_100
