"""What queries find, in the Arrow types that columns of loads have."""

from __future__ import annotations

import pyarrow as pa

_TYPMOD = b"POSTGRESQL:typmod"
_DATA_TYPE = b"POSTGRESQL:type"
_HEADER = 4
_MOST_DIGITS = 76


class ResultTypes:
    """The Arrow types of one result: those of its columns, and for numbers without a declared scale, as expressions give
    them, what their first batch needs.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, pa.DataType] = {}

    def table(self, found: pa.Table) -> pa.Table:
        """A whole result."""
        (batch,) = found.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], found.schema)]
        return pa.Table.from_batches([self.batch(batch)])

    def batch(self, found: pa.RecordBatch) -> pa.RecordBatch:
        """A batch, of the same types as those before.

        Raises:
            pa.ArrowInvalid: A number has more digits after the point than its column had in the first batch.
        """
        columns = [
            self._converted(position, field, column)
            for position, (field, column) in enumerate(zip(found.schema, found.columns, strict=True))
        ]
        return pa.RecordBatch.from_arrays(columns, found.schema.names)

    def _converted(self, position: int, field: pa.Field, column: pa.Array) -> pa.Array:
        if not isinstance(column, pa.ExtensionArray):
            return column
        plain = column.storage
        if (field.metadata or {}).get(_DATA_TYPE) != b"numeric":
            return plain.cast(pa.string()) if pa.types.is_string(plain.type) else column
        wanted = self._numbers.get(position)
        if wanted is None:
            wanted = _declared(field) or _needed(plain)
            self._numbers[position] = wanted
        return plain.cast(wanted)


def _declared(field: pa.Field) -> pa.DataType | None:
    """The decimal that a column of numbers was declared as; None where it was not, or has too many digits."""
    modifier = int((field.metadata or {}).get(_TYPMOD, b"-1")) - _HEADER
    if modifier < 0:
        return None
    precision, scale = modifier >> 16, modifier & 0x7FF
    return _decimal(precision, scale) if scale <= precision <= _MOST_DIGITS else None


def _needed(texts: pa.Array) -> pa.DataType:
    """The decimal that holds all numbers, or text where none does."""
    values = [text for text in texts.to_pylist() if text is not None]
    if any(not text.lstrip("-").replace(".", "", 1).isdigit() for text in values):
        return pa.string()  # not a number, or infinite
    parts = [text.lstrip("-").partition(".") for text in values]
    scale = max((len(fraction) for _, _, fraction in parts), default=0)
    whole = max((len(digits) for digits, _, _ in parts), default=0)
    return _decimal(max(38, whole + scale), scale) if whole + scale <= _MOST_DIGITS else pa.string()


def _decimal(precision: int, scale: int) -> pa.DataType:
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
