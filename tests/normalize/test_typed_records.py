"""Pages that are read into typed rows end up as the same columns as those that are read as dictionaries."""

from __future__ import annotations

import json
import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from comparison import contents, normalizer
from hypothesis import given, settings
from hypothesis import strategies as st

from dlt_orchestrate.flow.batch import FieldKey, TableKey
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.flow.typed_records import MOST_SHAPES, TypedReader, TypedRecords, plain
from dlt_orchestrate.http.exact_json import parse_json
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import ColumnHint
from dlt_orchestrate.schema.types import JSON, ValueClass

KEYS = st.sampled_from(["a", "A", "a.b", "a__b", "value", "list", "id", "\u00e9", "", 'x"y', "\U0001f600"])
POOLS: dict[type, list[Any]] = {
    bool: [True, False],
    int: [0, -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**70), 10**40],
    float: [0.0, -0.0, 1.0, 1.5, 1e300, 5e-324, 0.1, 1e22],
    str: ["", "x", "2024-01-01T00:00:00Z", "2024-01-01", "\u00e9\u2028", "\U0001f600", "x\0y", '"\\/\n'],
    type(None): [None],
}
LEAVES = st.sampled_from([leaf for pool in POOLS.values() for leaf in pool]) | st.floats(allow_nan=False) | st.integers()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=5), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32).map(Random)  # a generator of its own: Hypothesis would draw mostly extremes
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "max_nesting": st.integers(0, 3),
        "columns": st.sampled_from([{"a": ColumnHint(type=JSON)}, {"a": ColumnHint(nullable=False)}]),
        "primary_key": st.just(("id",)),
        "write_disposition": st.just("merge"),
        "capabilities": st.sampled_from([Capabilities(holds_nul_in_text=False), Capabilities(max_columns=3)]),
    },
)


def read(pages: list[bytes]) -> tuple[list[Any], Counter[str]]:
    """The pages as a paginator reads them: typed where that can be."""
    reader, refusals, found = TypedReader(), Counter[str](), []
    for page in pages:
        records = reader.read(page, refusals)
        if records is None:
            records = parse_json(page)
            reader.learn(records)
        found.append(records)
    return found, refusals


def tables(pages: list[Any], **options: Any) -> Any:
    """What becomes of pages: tables of keyed and keyless rows with their columns in order, and rejects."""
    subject = normalizer(**options)
    batches = [batch for page in pages for batch in subject.add(Page("things", page))] + subject.finish()
    streams = [contents(batch for keyless, batch in batches if keyless is wanted) for wanted in (False, True)]
    orders = [{key: table.field_order for key, table in stream.items()} for stream in streams]
    return streams, orders, [(r.column, r.cause) for r in subject.rejects], subject.rows_seen, subject.keyed_count


def varied(value: Any, random: Any) -> Any:
    """A value of the same shape with other leaves, and now and then of another shape."""
    if random.random() < 0.02:
        return random.choice([None, 1, 1.5, "x", True, [], {}, [{"a": 1}]])
    if isinstance(value, dict):
        items = [(key, varied(inner, random)) for key, inner in value.items() if random.random() > 0.02]
        return dict(items)
    if isinstance(value, list):
        return [varied(random.choice(value), random) for _ in range(random.randint(0, 3))] if value else []
    return random.choice(POOLS[type(value)])


@settings(max_examples=150)
@given(RECORDS, OPTIONS, SEEDS, st.booleans())
def test_typed_pages_become_what_the_reference_makes_of_them(records, options, random, ascii_only):
    pages = [records] + [[varied(random.choice(records), random) for _ in range(random.randint(0, 4))] for _ in range(5)]
    texts = [json.dumps(page, ensure_ascii=ascii_only).encode() for page in pages]
    exact = [parse_json(text) for text in texts]

    typed, _ = read(texts)

    assert [repr_of(plain(page)) for page in typed] == [repr_of(page) for page in exact]
    expected = tables(exact, oracle=True, **options)
    assert without_order(tables(typed, **options)) == without_order(expected)
    assert tables(exact, **options) == expected


def test_columns_of_typed_rows_hold_the_same_values_where_a_key_is_first_seen_without_one():
    records = [{"a": []}, {"A": {"a": True, "A": 0}, "a": 0}]
    texts = [json.dumps(page).encode() for page in (records, [{"A": {"a": False}, "a": 1}])]

    typed, _ = read(texts)

    assert without_order(tables(typed)) == without_order(tables([parse_json(text) for text in texts], oracle=True))


def without_order(found: Any) -> Any:
    """What becomes of pages, whatever the order of columns: all typed rows of a kind have their keys in one order."""
    streams, orders, *others = found
    return streams, [{key: sorted(map(repr, order)) for key, order in stream.items()} for stream in orders], *others


def repr_of(value: Any) -> str:
    """A text that tells values and their types apart, and not the order of keys."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{repr_of(inner)}" for key, inner in sorted(value.items())) + "}"
    return "[" + ",".join(map(repr_of, value)) + "]" if isinstance(value, list) else f"{type(value).__name__} {value!r}"


@settings(max_examples=150)
@given(RECORDS, SEEDS)
def test_a_damaged_page_is_refused_or_read_as_it_is_read_elsewhere(records, random):
    text = json.dumps(records).encode()
    reader = TypedReader()
    reader.learn(records)
    damaged = bytearray(text)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(damaged) + 1)
        damaged[at : at + random.randint(0, 2)] = random.choice(
            [b"", b"1", b'"', b",", b"}", b"\xff", b"NaN", b"e9", b"\n", b"\\"]
        )

    found = reader.read(bytes(damaged), Counter())

    if found is not None:
        assert repr_of(plain(found)) == repr_of(parse_json(bytes(damaged)))


BASE = b'[{"i":1,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[{"k":1}],"e":[]}]'


@pytest.mark.parametrize(
    "page",
    [
        b'[{"i":1.0,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":true,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":"1","f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1e2,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":true,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":NaN,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1e400,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":1,"b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"\\ud800","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"\xff","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":1,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":true,"n":1,"o":{"k":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":true,"n":null,"o":{"other":1},"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":true,"n":null,"o":[],"l":[],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[1],"e":[]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[1]}]',
        b'[{"i":1,"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[],"new":1}]',
        b'[{"f":1.5,"s":"x","b":true,"n":null,"o":{"k":1},"l":[],"e":[]}]',
        BASE + b"x",
        b"[" + BASE + b"]",
        b'{"items":' + BASE + b"}",
        b"null",
        b"",
        b"\xef\xbb\xbf" + BASE,
    ],
)
def test_what_cannot_be_read_exactly_is_refused(page):
    reader, refusals = TypedReader(), Counter[str]()
    reader.learn(parse_json(BASE))

    assert type(reader.read(BASE, refusals)) is TypedRecords
    assert reader.read(page, refusals) is None
    assert refusals.total() == 1


@pytest.mark.parametrize("text", [b"18446744073709551617", b"-9223372036854775809", b"1" * 60, b"-0"])
def test_integers_are_exact_whatever_their_size(text):
    (found,), refusals = read_second(b'[{"i":%s}]' % text)

    assert (found, refusals) == ({"i": int(text)}, {})


@pytest.mark.parametrize("text", [b"1", b"9007199254740993", b"-0.0", b"1e22", b"0.1e-400"])
def test_numbers_with_and_without_a_point_stay_what_they_are(text):
    (found,), refusals = read_second(b'[{"i":%s}]' % text, after=b'[{"i":1.5}]')

    assert (repr(found["i"]), refusals) == (repr(json.loads(text)), {})


def test_of_a_key_that_comes_twice_the_last_value_counts():
    (found,), _ = read_second(b'[{"i":2,"i":3}]')

    assert found == {"i": 3}


def read_second(page: bytes, after: bytes = b'[{"i":1}]') -> tuple[Any, dict[str, int]]:
    """A page as it is read after another."""
    pages, refusals = read([after, page])
    assert type(pages[1]) is TypedRecords
    return plain(pages[1]), dict(refusals)


def test_a_missing_key_is_no_null():
    pages, _ = read([b'[{"a":1,"b":null},{}]', b'[{"a":2},{"b":null},{}]', b"[{},{}]"])
    assert [type(page) is TypedRecords for page in pages] == [False, True, True]

    (table,), *_ = [tables([page])[0][0].values() for page in pages[1:2]]

    assert table.rows[0][FieldKey(("a",), ValueClass.BIGINT)] == "2"
    assert table.null_paths == {("b",)}
    assert tables(pages[2:])[0][0][TableKey("things")].null_paths == set()


def test_records_whose_shape_goes_on_changing_are_left_alone():
    reader, refusals = TypedReader(), Counter[str]()
    for number in range(MOST_SHAPES + 5):
        page = b'[{"key_%d":1}]' % number
        assert reader.read(page, refusals) is None
        reader.learn(parse_json(page))

    assert reader.has_given_up
    assert refusals == {"page: records of another shape": MOST_SHAPES}


def test_pages_that_nobody_wanted_typed_do_not_use_up_what_may_be_learnt():
    reader = TypedReader()
    for number in range(MOST_SHAPES + 5):
        reader.learn([{"key": number}])

    assert plain(reader.read(b'[{"key":1}]', Counter())) == [{"key": 1}]


def test_records_that_are_too_deep_or_too_wide_are_left_alone():
    deep = {"a": 1}
    for _ in range(100):
        deep = {"a": deep}
    for records in ([deep], [{str(n): n for n in range(5_000)}], [1, {"a": 1}], [{"a": math.nan}, [1]]):
        reader = TypedReader()
        reader.learn(records)

        assert reader.read(json.dumps(records).encode(), Counter()) is None
