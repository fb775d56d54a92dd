"""From the keys of a source to the names of a destination: of paths of keys, within its limits, each of its own."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import NamingConvention, convention_named
from dlt_orchestrate.schema.paths import order_of

PATH_SEPARATOR = "__"
"""Stands between keys where a path is shown to users."""

BLANK = "_empty"
"""Read in place of a key without any character to be seen."""
NAMELESS = "_"
"""The name of a key of which a convention leaves nothing."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A naming convention within the limits of a destination.

    Attributes:
        name: The name that the convention is stored under.
        max_length: Longest name, in characters or bytes.
        folds_case: Whether names that differ only in case are one name in the destination.
        counts_bytes: Whether the length of a name is that of its bytes in UTF-8.
    """

    name: str
    convention: NamingConvention
    max_length: int = 65_536
    folds_case: bool = True
    counts_bytes: bool = False

    def dataset(self, key: str) -> str:
        """Name a dataset or the source of bare data.

        >>> names = naming_for("unicode_snake_case", Capabilities())
        >>> [names.dataset(key) for key in ("My Data-Set 1", "a__b", "日本")]
        ['my_data_set_1', 'a_b', '日本']
        """
        return self._identifier(key.strip() or BLANK, of_table=True) or NAMELESS

    def table(self, keys: tuple[str, ...]) -> str:
        """Name a table after its resource, and a nested one after the keys that lead to it.

        >>> naming_for("direct", Capabilities()).table(("Orders", "lines"))
        'Orders▶lines'
        """
        return self._path(keys, of_table=True)

    def path(self, keys: tuple[str, ...]) -> str:
        """Name a column after the keys that lead to it.

        >>> names = naming_for("unicode_snake_case", Capabilities())
        >>> names.path(("reactions", "+1")), names.path(("a__B",))
        ('reactions__x1', 'a__b')
        """
        return self._path(keys, of_table=False)

    def joined(self, *names: str) -> str:
        """One name of several that are names already."""
        return self.shortened(self.convention.PATH_SEPARATOR.join(filter(None, names)))

    def shortened(self, name: str, *, of: str | None = None) -> str:
        """A name of at most the greatest length; see `shorten`."""
        return shorten(name, self.max_length, of=of, in_bytes=self.counts_bytes)

    def folded(self, name: str) -> str:
        """What the destination tells names apart by."""
        return name.lower() if self.folds_case else name

    def _path(self, keys: tuple[str, ...], *, of_table: bool) -> str:
        """The name of a path; keys of which nothing is left are left out, unless that is all."""
        name = self.joined(*(self._part(key, of_table=of_table) for key in keys))
        return name or self._identifier(keys[-1].strip(), of_table=of_table) or NAMELESS

    def _part(self, key: str, *, of_table: bool) -> str:
        """The name of one key, which may itself be written as a path; empty if nothing is left of it."""
        if not key or key.isspace():
            key = BLANK
        parts = [part.strip() for part in key.split(self.convention.PATH_SEPARATOR)]
        names = [name for part in parts if part and (name := self._identifier(part, of_table=of_table))]
        return self.shortened(self.convention.PATH_SEPARATOR.join(names), of=key)

    def _identifier(self, key: str, *, of_table: bool) -> str:
        return self.shortened(_normalized(self.convention, key, of_table), of=key)


def naming_for(name: str, capabilities: Capabilities, *, said_by: str = "the code") -> Naming:
    """A convention within the limits of a destination; `said_by` and errors as in `conventions.convention_named`."""
    convention = convention_named(name, said_by=said_by)
    limits = (capabilities.max_identifier_length, convention.max_length)
    return Naming(
        name=name,
        convention=convention,
        max_length=min(limit for limit in limits if limit is not None),
        folds_case=not capabilities.case_sensitive_identifiers,
        counts_bytes=capabilities.identifiers_measured_in == "bytes",
    )


@lru_cache(maxsize=100_000)
def _normalized(convention: NamingConvention, key: str, of_table: bool) -> str:
    return convention.normalize_table_identifier(key) if of_table else convention.normalize_identifier(key)


def shorten(name: str, max_length: int, *, of: str | None = None, in_bytes: bool = False) -> str:
    """Fit a name into a length by putting a hash in place of its middle, as dlt does.

    Args:
        of: What the hash is of, if not of the name: the key that it was made of.
        in_bytes: Whether the length counts bytes in UTF-8; no character is cut in two.

    >>> shorten("a_very_long_name_for_a_column", 20)
    'a_very_0gbumq_column'
    >>> shorten("schlüssel_ähnlich_größe", 20, in_bytes=True)
    'schlüsaf8acagröße'
    """
    size = len(name.encode("utf-8", "surrogatepass")) if in_bytes else len(name)
    if size <= max_length:
        return name
    digest = hashlib.shake_128((name if of is None else of).encode("utf-8", "surrogatepass")).digest(4)
    tag = base64.b64encode(digest, b"ba").decode("ascii").rstrip("=").lower()[:max_length]
    head = (max_length - len(tag) + 1) // 2
    tail = max_length - len(tag) - head
    if in_bytes:
        spelled = name.encode("utf-8", "surrogatepass")
        first, last = spelled[:head], spelled[-tail:] if tail else b""
        return first.decode("utf-8", "ignore") + tag + last.decode("utf-8", "ignore")
    return name[:head] + tag + (name[-tail:] if tail else "")


def assign_names(
    paths: Iterable[tuple[str, ...]],
    name_of: Callable[[tuple[str, ...]], str],
    *,
    naming: Naming,
    owners: Mapping[str, tuple[str, ...]],
    reserved: Iterable[str] = (),
) -> dict[tuple[str, ...], str]:
    """Give every path a name of its own, the same whatever the order of the paths.

    A stored name stays with the path that owns it. Among new paths with one name the one that spells the name exactly gets
    it, then the shortest, then the first in the alphabet; the others get the name with a hash of their path.

    Args:
        name_of: What a path would be named if it were alone.
        owners: Stored names with the path each was made for; an empty path means unknown, and the first that reads exactly
            so may have it.
        reserved: Names that no path may have.
    """
    stored = {path: name for name, path in owners.items() if path}
    taken = {naming.folded(name): (name, path) for name, path in owners.items()}
    avoided = {naming.folded(name) for name in reserved}
    separator = naming.convention.PATH_SEPARATOR

    def precedence(path: tuple[str, ...]) -> tuple[Any, ...]:
        return (path not in stored, separator.join(path) != name_of(path), len(path), order_of(path))

    def is_free(name: str, path: tuple[str, ...]) -> bool:
        folded = naming.folded(name)
        return folded not in avoided and taken.get(folded, (name, path)) in ((name, path), (name, ()))

    chosen: dict[tuple[str, ...], str] = {}
    for path in sorted(set(paths), key=precedence):
        candidates = _candidates(path, stored.get(path, name_of(path)), naming)
        name = next(name for name in candidates if is_free(name, path))
        taken[naming.folded(name)] = (name, path)
        chosen[path] = name
    return chosen


def _candidates(path: tuple[str, ...], name: str, naming: Naming) -> Iterator[str]:
    """A name, and the names that a path may have instead."""
    yield name
    for number in itertools.count():
        yield naming.shortened(f"{name}_{_suffix(repr(path) if number == 0 else f'{path!r} {number}')}")


def _suffix(text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    number = int.from_bytes(digest, "big")
    letters = []
    for _ in range(6):
        number, rest = divmod(number, len(alphabet))
        letters.append(alphabet[rest])
    return "".join(letters)
