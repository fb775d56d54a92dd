"""How column types join: one case for each row of the table, and laws over all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.flow.batch import Observed
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.evolve import can_widen, join, natural_type, variant_label, variant_type
from dlt_orchestrate.schema.types import ColumnType, ValueClass, settled

V = ValueClass
SMALL = Observed(1, low=-3, high=3)
BIG = Observed(1, low=0, high=2**53 + 1)
WIDE = Observed(1, low=0, high=2**70, digits=22)
TEXT = Observed(1)


def decimal(digits: int, scale: int) -> Observed:
    return Observed(1, digits=digits, scale=scale)


def dec(precision: int, scale: int) -> ColumnType:
    return ColumnType("decimal", precision, scale)


SEEN = {value_class: Observed(1) for value_class in V} | {V.BIGINT: SMALL, V.WIDE: WIDE, V.DECIMAL: decimal(3, 2)}


@pytest.mark.parametrize(
    ("stored", "seen", "expected"),
    [
        # nothing or only nulls: any
        (None, [(V.BIGINT, SMALL)], types.BIGINT),
        (None, [(V.BOOL, TEXT)], types.BOOL),
        (None, [(V.WIDE, WIDE)], dec(38, 0)),
        (None, [(V.DOUBLE, TEXT)], types.DOUBLE),
        (None, [(V.DECIMAL, decimal(3, 2))], dec(38, 9)),
        (None, [(V.DECIMAL, decimal(3, 20))], dec(38, 20)),
        (None, [(V.DECIMAL, decimal(30, 8))], dec(38, 8)),
        (None, [(V.DECIMAL, decimal(30, 20))], types.TEXT),
        (None, [(V.NUMERAL, TEXT)], types.TEXT),
        (None, [(V.TEXT, TEXT)], types.TEXT),
        (None, [(V.TEXT, Observed(1, first_text="aware"))], types.TIMESTAMP),
        (None, [(V.TEXT, Observed(1, first_text="naive"))], types.NAIVE_TIMESTAMP),
        (None, [(V.JSON, TEXT)], types.JSON),
        (None, [], None),
        (types.BIGINT, [], types.BIGINT),
        # bigint
        (types.BIGINT, [(V.WIDE, WIDE)], dec(38, 0)),
        (types.BIGINT, [(V.NUMERAL, TEXT)], types.BIGINT),
        (types.BIGINT, [(V.DOUBLE, TEXT)], types.DOUBLE),
        (types.BIGINT, [(V.BIGINT, BIG), (V.DOUBLE, TEXT)], types.BIGINT),
        (types.BIGINT, [(V.DOUBLE, TEXT), (V.BIGINT, BIG)], types.BIGINT),
        (types.BIGINT, [(V.DECIMAL, decimal(3, 2))], dec(38, 9)),
        (types.BIGINT, [(V.DECIMAL, decimal(3, 19))], dec(38, 19)),
        (types.BIGINT, [(V.DECIMAL, decimal(3, 20))], types.BIGINT),
        (ColumnType("bigint", 8), [(V.BIGINT, SMALL)], ColumnType("bigint", 8)),
        (ColumnType("bigint", 8), [(V.BIGINT, Observed(1, low=0, high=300))], types.BIGINT),
        # decimal
        (dec(10, 2), [(V.DECIMAL, decimal(3, 2))], dec(10, 2)),
        (dec(10, 2), [(V.DECIMAL, decimal(9, 1))], dec(11, 2)),
        (dec(10, 2), [(V.DECIMAL, decimal(3, 4))], dec(12, 4)),
        (dec(38, 9), [(V.DECIMAL, decimal(30, 9))], dec(38, 9)),
        (dec(10, 2), [(V.BIGINT, Observed(1, low=0, high=10**9))], dec(12, 2)),
        # double
        (types.DOUBLE, [(V.DECIMAL, decimal(3, 2))], types.DOUBLE),
        (types.DOUBLE, [(V.BIGINT, BIG)], types.DOUBLE),
        # moments
        (types.TIMESTAMP, [(V.DATE, TEXT)], types.TIMESTAMP),
        (types.DATE, [(V.TIMESTAMP, TEXT)], types.DATE),
        (types.TIMESTAMP, [(V.NAIVE_TIMESTAMP, TEXT)], types.TIMESTAMP),
        (types.NAIVE_TIMESTAMP, [(V.TIMESTAMP, TEXT)], types.NAIVE_TIMESTAMP),
        # text, bool, the first class names the column
        *((types.TEXT, [(value_class, extent)], types.TEXT) for value_class, extent in SEEN.items()),
        *((types.BOOL, [(value_class, extent)], types.BOOL) for value_class, extent in SEEN.items()),
        (types.BIGINT, [(V.BOOL, TEXT)], types.BIGINT),
        (types.BIGINT, [(V.TEXT, TEXT)], types.BIGINT),
        (None, [(V.TEXT, TEXT), (V.BIGINT, SMALL)], types.TEXT),
        (None, [(V.BIGINT, SMALL), (V.TEXT, TEXT)], types.BIGINT),
        (None, [(V.BIGINT, SMALL), (V.DOUBLE, TEXT)], types.DOUBLE),
        (None, [(V.BIGINT, BIG), (V.DOUBLE, TEXT)], types.BIGINT),
    ],
)
def test_a_type_joins_what_comes(stored, seen, expected) -> None:
    assert join(stored, seen) == expected


@pytest.mark.parametrize(
    ("stored_range", "expected"),
    [(None, types.DOUBLE), ((-5, 2**53), types.DOUBLE), ((0, 2**53 + 1), types.BIGINT), ((-(2**53) - 1, 0), types.BIGINT)],
)
def test_stored_integers_that_a_double_cannot_tell_apart_keep_their_column(stored_range, expected) -> None:
    assert join(types.BIGINT, [(V.DOUBLE, TEXT)], lambda: stored_range) == expected


def test_the_stored_range_is_asked_only_where_it_decides() -> None:
    def asked() -> None:
        raise AssertionError("asked")

    for value_class, extent in SEEN.items():
        if value_class is not V.DOUBLE:
            join(types.BIGINT, [(value_class, extent)], asked)


_classes = st.lists(st.sampled_from(sorted(SEEN)), unique=True, max_size=5)


@given(_classes)
def test_a_second_load_of_the_same_values_changes_no_type(classes) -> None:
    seen = [(value_class, SEEN[value_class]) for value_class in classes]
    first = join(None, seen)

    assert join(first, seen) == first


@given(_classes)
def test_a_stored_column_only_widens(classes) -> None:
    for stored in (types.BIGINT, types.DOUBLE, dec(10, 2), types.DATE, types.TIMESTAMP, types.TEXT, types.BOOL):
        joined = join(stored, [(value_class, SEEN[value_class]) for value_class in classes])

        assert joined == stored or can_widen(stored, joined, lambda: None)


@pytest.mark.parametrize(
    ("stored", "wanted", "stored_range", "allowed"),
    [
        (types.BIGINT, types.TEXT, None, True),
        (types.BINARY, types.TEXT, None, False),
        (types.BIGINT, types.DOUBLE, (0, 5), True),
        (types.BIGINT, types.DOUBLE, (0, 2**60), False),
        (types.BIGINT, dec(10, 2), (0, 99_999_999), True),
        (types.BIGINT, dec(10, 2), (0, 100_000_000), False),
        (types.BIGINT, ColumnType("bigint", 8), None, False),
        (ColumnType("bigint", 8), types.BIGINT, None, True),
        (dec(10, 2), dec(12, 4), None, True),
        (dec(10, 2), dec(12, 5), None, False),
        (types.DATE, types.TIMESTAMP, None, True),
        (types.TIMESTAMP, types.DATE, None, False),
        (types.DOUBLE, types.BIGINT, None, False),
        (types.TEXT, types.BIGINT, None, False),
    ],
)
def test_a_hint_may_widen_a_stored_column_but_change_no_value(stored, wanted, stored_range, allowed) -> None:
    assert can_widen(stored, wanted, lambda: stored_range) is allowed


def test_a_variant_column_has_the_type_of_its_values_and_says_so() -> None:
    labels = {value_class: variant_label(variant_type(value_class, extent)) for value_class, extent in SEEN.items()}

    assert labels[V.NAIVE_TIMESTAMP] == "timestamp_naive"
    assert labels[V.TIMESTAMP] == "timestamp"
    assert (labels[V.TEXT], labels[V.NUMERAL], labels[V.DECIMAL]) == ("text", "text", "decimal")


@pytest.mark.parametrize("value_class", sorted(SEEN))
def test_a_natural_type_is_settled(value_class) -> None:
    natural = natural_type(value_class, SEEN[value_class])

    assert settled(natural) == natural
