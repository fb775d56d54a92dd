"""Which tables, and which of their columns, are meant: names, or patterns as shells have them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.errors import DeclarationError

if TYPE_CHECKING:
    import sqlalchemy as sa

T = TypeVar("T")

_log = logging.getLogger("dlt_orchestrate.sources.sql_database")
_MAGIC = re.compile(r"[*?\[]")


def is_pattern(name: str) -> bool:
    """Whether a name stands for several.

    >>> is_pattern("shop_*"), is_pattern("orders")
    (True, False)
    """
    return _MAGIC.search(name) is not None


def expect_names(owner: str, argument: str, given: Any) -> list[str] | None:
    """The names of an argument as a list; a single one may be given alone.

    Raises:
        DeclarationError: It is no list of texts.
    """
    names = [given] if isinstance(given, str) else given
    if names is None:
        return None
    if not isinstance(names, Sequence) or not all(isinstance(name, str) and name for name in names):
        raise DeclarationError(
            f"{owner}: {argument} must be a list of names or patterns, such as ['shop_*'], not {given!r}."
        )
    return list(names)


def declared_for(name: str, declared: Mapping[str, T]) -> T | None:
    """What is declared of a table: under its name, else under the first pattern that means it.

    >>> declared_for("shop_a", {"shop_*": 1, "shop_a": 2}), declared_for("shop_b", {"shop_*": 1}), declared_for("c", {})
    (2, 1, None)
    """
    if name in declared:
        return declared[name]
    return next((given for pattern, given in declared.items() if fnmatchcase(name, pattern)), None)


def needs_database(table_names: Sequence[str] | None) -> bool:
    """Whether only the database can tell which tables are meant."""
    return table_names is None or any(map(is_pattern, table_names))


def selected(
    there: Sequence[str],
    table_names: Sequence[str] | None,
    exclude: Sequence[str] | None,
    *,
    location: str,
    everything: Callable[[], Sequence[str]] | None = None,
) -> list[str]:
    """The tables that are meant, in the order of the names and patterns.

    Args:
        there: All tables that the database has.
        table_names: Names and patterns; None for all tables.
        exclude: Names and patterns of tables that are left out.
        everything: Asks for all that may be named in `exclude`, views included; `there` by default.

    Raises:
        DeclarationError: A name, or a pattern of `table_names`, means none.

    >>> selected(["shop_a", "shop_b", "tmp"], ["shop_*"], ["*_b"], location="duckdb:///shop")
    ['shop_a']
    >>> selected(["a1", "a[1]"], None, ["a[1]"], location="duckdb:///shop")
    ['a1']
    """
    found: dict[str, None] = {}
    for wanted in ["*"] if table_names is None else table_names:
        matching = [name for name in there if _means(wanted, name, there)]
        if not matching and table_names is not None:
            hint = meant(wanted, there) if there else "There are neither tables nor views; schema names another schema."
            raise DeclarationError(
                f"Source 'sql_database': {'no table matches' if is_pattern(wanted) else 'there is no table'} {wanted!r} in "
                f"{location}. {hint}"
            )
        found.update(dict.fromkeys(matching))
    _expect_left_out(exclude or (), there, location, everything or (lambda: there))
    return [name for name in found if not any(_means(pattern, name, there) for pattern in exclude or ())]


def _means(wanted: str, name: str, there: Sequence[str]) -> bool:
    """Whether a name or pattern means a table; what is the name of one, such as `a[1]`, is no pattern."""
    return name == wanted if wanted in there else fnmatchcase(name, wanted)


def _expect_left_out(
    exclude: Sequence[str], there: Sequence[str], location: str, everything: Callable[[], Sequence[str]]
) -> None:
    """Tell of what is left out and is not there: a name that is mistyped would let its table through."""
    for name in exclude:
        if any(fnmatchcase(table, name) for table in there) or name in there:
            continue
        if is_pattern(name):
            _log.warning("Source 'sql_database': exclude=%r matches no table in %s.", name, location)
        elif name not in (known := everything()):
            raise DeclarationError(
                f"Source 'sql_database': exclude names {name!r}, and there is no such table in {location}. "
                f"{meant(name, known)}"
            )


def with_columns(table: sa.Table, *, included: Iterable[str] | None, excluded: Iterable[str] | None) -> sa.Table:
    """A copy of a table with only the columns that are wanted; errors as in `chosen_columns`."""
    import sqlalchemy as sa

    there = [column.name for column in table.columns]
    kept = chosen_columns(table.name, there, included=included, excluded=excluded)
    if kept == there:
        return table
    copy = table.to_metadata(sa.MetaData())
    for name in set(there) - set(kept):
        copy._columns.remove(copy.columns[name])
    return copy


def chosen_columns(
    table: str, there: Sequence[str], *, included: Iterable[str] | None, excluded: Iterable[str] | None
) -> list[str]:
    """The columns that are wanted of those that a table has.

    Raises:
        DeclarationError: The table has none; one is named that it does not have; or none is left.
    """
    if not there:
        raise DeclarationError(f"Table {table!r}: it has no columns, so there is nothing to load. Leave it out.")
    for argument, names in (("included_columns", included), ("excluded_columns", excluded)):
        for name in names or ():
            if name not in there and not any(fnmatchcase(column, name) for column in there):
                raise DeclarationError(
                    f"Table {table!r}: {argument} names {name!r}, which is none of its columns. {meant(name, there)}"
                )
    kept = [
        name
        for name in there
        if (included is None or any(fnmatchcase(name, pattern) for pattern in included))
        and not any(fnmatchcase(name, pattern) for pattern in excluded or ())
    ]
    if not kept:
        raise DeclarationError(f"Table {table!r}: included_columns and excluded_columns leave no column.")
    return kept
