"""What the text of a CSV file becomes: a column has a type only if every text in it is written as that type is."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.declare import current
from dlt_orchestrate.sources.filesystem.csv_kinds import KINDS, Kind

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_LONG_NUMBER = r"[0-9][0-9.]{17}"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_NAIVE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"
_AWARE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})$"
_BOOL = r"^(true|false|True|False|TRUE|FALSE)$"

_WRITTEN_AS: dict[Kind, str] = {
    "bigint": _INTEGER, "double": _NUMBER, "bool": _BOOL, "date": _DATE, "timestamp": _AWARE, "naive_timestamp": _NAIVE,
}  # fmt: skip

MOST_RUNS = 1_000
"""Changes between rows that fit their types and rows that do not, in one block, up to which it is cut at them."""


class CsvTypes:
    """The types of the columns of one resource: told by the first values of each, kept for all files and runs after."""

    def __init__(self, kept: MutableMapping[str, Any], fixed: Mapping[str, Kind]) -> None:
        """
        Args:
            kept: Types by column; those of new columns are added.
            fixed: Types that are not told by values.
        """
        self._kept = kept
        self._fixed = fixed

    def expect_columns(self, columns: Sequence[str], file: str) -> None:
        """Say which types a user gives to columns that a file does not have."""
        for name in self._fixed:
            if name not in columns:
                current.warn(f"File {file}: it has no column {name!r}, to which dtype gives a type. {meant(name, columns)}")

    def typed(self, texts: pa.Table) -> list[pa.Table]:
        """The rows with their types; in several tables where some rows hold what their columns' types are not written as.

        Such rows keep those values as texts: what becomes of them is the loader's business.
        """
        columns: dict[str, pa.Array] = {}
        misfits: dict[str, pa.Array] = {}
        for name in texts.column_names:
            column = _one(texts[name])
            kind = self._kind(name, column)
            found = column if kind is None else _typed(column, kind)
            if found is None:
                assert kind is not None
                misfits[name] = compute.invert(_fits(column, kind))
                found = column
            columns[name] = found
        if not misfits:
            return [pa.table(columns)]
        return self._parted(pa.table(columns), misfits)

    def _kind(self, name: str, column: pa.Array) -> Kind | None:
        kind = self._fixed.get(name) or self._kept.get(name)
        if kind is None and column.null_count < len(column):
            kind = next((one for one in KINDS if one != "text" and _typed(column, one) is not None), "text")
            self._kept[name] = kind
        if kind == "bigint" and name not in self._fixed and _typed(column, "bigint") is None:
            return "double" if _typed(column, "double") is not None else kind
        return kind

    def _parted(self, table: pa.Table, misfits: Mapping[str, pa.Array]) -> list[pa.Table]:
        """The table cut where rows that fit and rows that do not follow each other, so that their order is kept."""
        odd = [any(values) for values in zip(*(mask.to_pylist() for mask in misfits.values()), strict=True)]
        starts = [0, *(at for at in range(1, len(odd)) if odd[at] != odd[at - 1])]
        if len(starts) > MOST_RUNS:
            # A column in which every other text is none of its type is one of texts.
            return [table]
        ends = [*starts[1:], len(odd)]
        parts = []
        for start, end in zip(starts, ends, strict=True):
            part = table.slice(start, end - start)
            for name in () if odd[start] else misfits:
                column = _one(part[name])
                found = _typed(column, self._kind(name, column) or "text")
                if found is not None:
                    part = part.set_column(part.column_names.index(name), name, found)
            parts.append(part)
        return parts


def _one(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _typed(column: pa.Array, kind: Kind) -> pa.Array | None:
    """The column as a type; None if a text in it is not written as values of the type are."""
    try:
        match kind:
            case "bigint":
                numbers = column.cast(pa.int64())
                return numbers if numbers.cast(pa.string()).equals(column) else None
            case "double":
                if not _all(column, _NUMBER) or _any(column, _LONG_NUMBER):
                    return None
                doubles = column.cast(pa.float64())
                return doubles if compute.all(compute.is_finite(doubles)).as_py() is not False else None
            case "bool":
                return compute.equal(compute.utf8_lower(column), "true") if _all(column, _BOOL) else None
            case "date":
                return column.cast(pa.date32()) if _all(column, _DATE) else None
            case "timestamp":
                return column.cast(pa.timestamp("us", "UTC")) if _all(column, _AWARE) else None
            case "naive_timestamp":
                return column.cast(pa.timestamp("us")) if _all(column, _NAIVE) else None
            case "text":
                return column
    except pa.ArrowInvalid:
        return None


def _fits(column: pa.Array, kind: Kind) -> pa.Array:
    """For each text whether it is written as the type is; True for nulls."""
    fits = compute.fill_null(compute.match_substring_regex(column, _WRITTEN_AS[kind]), True)
    if kind == "double":
        fits = compute.and_(
            fits, compute.fill_null(compute.invert(compute.match_substring_regex(column, _LONG_NUMBER)), True)
        )
    if _typed(column.filter(fits), kind) is not None:
        return fits
    # Days that no calendar has, numbers beyond all bounds: told one by one.
    return pa.array(
        [value is None or _typed(pa.array([value], pa.string()), kind) is not None for value in column.to_pylist()]
    )


def _all(column: pa.Array, pattern: str) -> bool:
    first = next((value for value in column if value.is_valid), None)
    if first is None:
        return True
    if not compute.match_substring_regex(first, pattern).as_py():
        return False  # most columns are none of most types, which their first text tells
    return bool(compute.all(compute.match_substring_regex(column, pattern)).as_py())


def _any(column: pa.Array, pattern: str) -> bool:
    return bool(compute.any(compute.match_substring_regex(column, pattern)).as_py())
