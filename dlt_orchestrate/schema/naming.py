"""From the keys of a source to identifiers of a destination.

Two conventions: `snake_case` is dlt's and stays with datasets that dlt made; `unicode_snake_case` gives the same names for
ASCII keys and keeps letters of every script, so that keys that differ do not fall together.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

PATH_SEPARATOR = "__"
DEFAULT_CONVENTION = "unicode_snake_case"

_REPLACED = str.maketrans({"+": "x", "*": "x", "-": "_", "@": "a", "|": "l"})
_ASCII_OTHER = re.compile(r"[^A-Za-z0-9_]+")
_UNICODE_OTHER = re.compile(r"\W+")
_WORD_START = re.compile(r"([^_])([A-Z][a-z]+)")
_CASE_CHANGE = re.compile(r"([a-z0-9])([A-Z])")
_UNDERSCORES = re.compile(r"__+")
_TRAILING = re.compile(r"_+$")


@dataclass(frozen=True, slots=True)
class NamingConvention:
    """How keys become identifiers.

    Attributes:
        name: The name it is stored under.
        max_length: Longest identifier of the destination, in characters.
    """

    name: str = DEFAULT_CONVENTION
    max_length: int = 65_536

    def identifier(self, key: str) -> str:
        """Name a dataset or source after one key.

        >>> names = NamingConvention()
        >>> [names.identifier(key) for key in ("HTTPServer", "traffic/clones", "1abc", "a_", "日本")]
        ['http_server', 'traffic_clones', '_1abc', 'ax', '日本']
        """
        return shorten(_identifier(key, self.name == "snake_case"), self.max_length)

    def path(self, keys: tuple[str, ...]) -> str:
        """Name a table after its resource, or a column or nested table after the keys that lead to it.

        >>> NamingConvention().path(("reactions", "+1")), NamingConvention().path(("a__B",))
        ('reactions__x1', 'a__b')
        """
        ascii_only = self.name == "snake_case"
        return shorten(PATH_SEPARATOR.join(_path_part(key, ascii_only) for key in keys), self.max_length)


@lru_cache(maxsize=100_000)
def _identifier(key: str, ascii_only: bool) -> str:
    key = key.strip()
    if not key:
        return "_empty"
    if ascii_only:
        name = _ASCII_OTHER.sub("_", key.translate(_REPLACED))
    else:
        name = _UNICODE_OTHER.sub("_", unicodedata.normalize("NFC", key).translate(_REPLACED))
    name = _CASE_CHANGE.sub(r"\1_\2", _WORD_START.sub(r"\1_\2", name)).lower()
    if name[0].isdigit():
        name = "_" + name
    name = _TRAILING.sub(lambda match: "x" * len(match[0]), name)
    return _UNDERSCORES.sub("_", name)


@lru_cache(maxsize=100_000)
def _path_part(key: str, ascii_only: bool) -> str:
    parts = [part for part in key.split(PATH_SEPARATOR) if part.strip()]
    if not parts:
        return _identifier(key, ascii_only)
    return PATH_SEPARATOR.join(_identifier(part, ascii_only) for part in parts)


def shorten(name: str, max_length: int) -> str:
    """Fit a name into a length by putting a hash of it in place of its middle.

    >>> shorten("a_very_long_name_for_a_column", 20)
    'a_veryap3gsamlcolumn'
    """
    if len(name) <= max_length:
        return name
    tag = _tag(name, 8)
    head = (max_length - len(tag) + 1) // 2
    tail = max_length - len(tag) - head
    return name[:head] + tag + (name[-tail:] if tail else "")


def assign_names(
    paths: Iterable[tuple[str, ...]],
    name_of: Callable[[tuple[str, ...]], str],
    *,
    owners: Mapping[str, tuple[str, ...]],
    reserved: frozenset[str] = frozenset(),
    max_length: int = 65_536,
) -> dict[tuple[str, ...], str]:
    """Give every path a name of its own, the same whatever the order of the paths.

    A stored name stays with the path that owns it. Among new paths with one name the one that spells the name exactly gets
    it, then the shortest, then the first in the alphabet; the others get the name with a hash of their path.

    Args:
        owners: Stored names with the path each was made for; an empty path means unknown, and the first may have it.
        reserved: Names that no path may have.
    """
    chosen: dict[tuple[str, ...], str] = {}
    taken = {name: path for name, path in owners.items() if path}

    def precedence(path: tuple[str, ...]) -> tuple[bool, bool, int, tuple[str, ...]]:
        name = name_of(path)
        return (taken.get(name) != path, PATH_SEPARATOR.join(path) != name, len(path), path)

    for path in sorted(set(paths), key=precedence):
        name = name_of(path)
        if name in reserved or taken.get(name, path) != path:
            name = shorten(f"{name}_{_tag(repr(path), 6)}", max_length)
        taken[name] = path
        chosen[path] = name
    return chosen


def _tag(text: str, length: int) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    number = int.from_bytes(digest, "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(alphabet))
        letters.append(alphabet[rest])
    return "".join(letters)
