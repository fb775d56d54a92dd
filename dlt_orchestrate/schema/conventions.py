"""Naming conventions: how one key of a source reads as an identifier.

`unicode_snake_case` is that of new datasets: it gives the names of dlt's `snake_case` for ASCII keys and keeps letters of
every script, so that keys that differ do not fall together. The others are dlt's, for datasets that dlt made and for who
prefers them.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import unicodedata
from typing import ClassVar

from dlt_orchestrate.errors import UnknownNamingConventionError

DEFAULT_CONVENTION = "unicode_snake_case"
CLASS_IN_MODULE = "NamingConvention"
"""The class that is meant where a module of one's own is named as the convention."""

_UNDERSCORES = re.compile(r"__+")
_TRAILING = re.compile(r"_+$")
_NOT_SQL = re.compile(r"[^A-Za-z\d_]+")  # digits of every script, as dlt has it
_WORD_START = re.compile(r"([^_])([A-Z][a-z]+)")
_CASE_CHANGE = re.compile(r"([a-z0-9])([A-Z])")
_SPOKEN = str.maketrans({"+": "x", "*": "x", "-": "_", "@": "a", "|": "l"})

# What no identifier can hold, whatever the convention: databases and UTF-8 refuse it.
_UNWRITABLE = r"\x00\ud800-\udfff"
# Compiled when they are used: these take long, and few datasets have their conventions.
_NOT_DUCK = rf'[\n\r"{_UNWRITABLE}]'
_NOT_DIRECT = rf"[\n\r\"'▶{_UNWRITABLE}]"


class NamingConvention:
    """How keys read as identifiers; as it stands, it leaves them as they are. Subclass it for a convention of your own.

    Blank keys, length and keys that read the same are seen to elsewhere.

    Attributes:
        PATH_SEPARATOR: Stands between the names of nested keys; a key that holds it is taken for a path.
        max_length: Longest name, in characters, whatever the destination holds; None for no limit of its own.
    """

    PATH_SEPARATOR: ClassVar[str] = "__"
    max_length: ClassVar[int | None] = None

    def normalize_identifier(self, identifier: str) -> str:
        """Name a column after a key, which has no blanks around it and is not empty."""
        return identifier

    def normalize_table_identifier(self, identifier: str) -> str:
        """Name a table or dataset; as a column by default."""
        return self.normalize_identifier(identifier)


class SnakeCase(NamingConvention):
    """Lower case, words parted by `_`; what is neither ASCII letter nor digit is `_`, and `x` at the end.

    >>> [SnakeCase().normalize_identifier(key) for key in ("HTTPServer", "traffic/clones", "1abc", "a_", "naïve")]
    ['http_server', 'traffic_clones', '_1abc', 'ax', 'na_ve']
    """

    def normalize_identifier(self, identifier: str) -> str:
        return _in_snake_case(_NOT_SQL.sub("_", identifier.translate(_SPOKEN)))


class UnicodeSnakeCase(NamingConvention):
    """As `snake_case`, with the letters of every script.

    >>> [UnicodeSnakeCase().normalize_identifier(key) for key in ("HTTPServer", "traffic/clones", "Größe", "日本")]
    ['http_server', 'traffic_clones', 'größe', '日本']
    """

    def normalize_identifier(self, identifier: str) -> str:
        identifier = identifier.translate(_SPOKEN)
        if identifier.isascii():
            return _in_snake_case(_NOT_SQL.sub("_", identifier))
        words = _words(unicodedata.normalize("NFC", identifier))
        return unicodedata.normalize("NFC", _in_snake_case(words))


class SqlCaseSensitive(NamingConvention):
    """Letters keep their case; what is neither ASCII letter nor digit is `_`, and nothing at the end.

    >>> [SqlCaseSensitive().normalize_identifier(key) for key in ("HTTPServer", "a-b", "1abc", "is_a?")]
    ['HTTPServer', 'a_b', '_1abc', 'is_a']
    """

    def normalize_identifier(self, identifier: str) -> str:
        name = _NOT_SQL.sub("_", identifier)
        if name[:1].isdecimal():
            name = "_" + name
        if name != "_":
            name = _TRAILING.sub("", name)
        return _UNDERSCORES.sub("_", name)


class SqlCaseInsensitive(SqlCaseSensitive):
    """As `sql_cs_v1`, in lower case."""

    def normalize_identifier(self, identifier: str) -> str:
        return super().normalize_identifier(identifier).lower()


class DuckCase(NamingConvention):
    """Keys as they are, but for line ends and double quotes, which are `_`, and for underscores in a row, which are one."""

    def normalize_identifier(self, identifier: str) -> str:
        return _UNDERSCORES.sub("_", re.sub(_NOT_DUCK, "_", identifier))


class Direct(NamingConvention):
    """Keys as they are, but for line ends, quotes and `▶`, which are `_`."""

    PATH_SEPARATOR: ClassVar[str] = "▶"

    def normalize_identifier(self, identifier: str) -> str:
        return re.sub(_NOT_DIRECT, "_", identifier)


class S3Tables(SnakeCase):
    """As `snake_case`, at most 255 characters, and names of tables do not begin with `_`."""

    max_length: ClassVar[int | None] = 255

    def normalize_table_identifier(self, identifier: str) -> str:
        return self.normalize_identifier(identifier).lstrip("_")


CONVENTIONS: dict[str, NamingConvention] = {
    DEFAULT_CONVENTION: UnicodeSnakeCase(),
    "snake_case": SnakeCase(),
    "direct": Direct(),
    "duck_case": DuckCase(),
    "sql_ci_v1": SqlCaseInsensitive(),
    "sql_cs_v1": SqlCaseSensitive(),
    "s3_tables": S3Tables(),
}
"""The conventions that have a name."""


def convention_named(name: str, *, said_by: str) -> NamingConvention:
    """The convention of a name, or of the path of a class or module of one's own, which is imported.

    Args:
        name: As in the configuration or in a stored schema.
        said_by: Where it stands there, for the message.

    Raises:
        UnknownNamingConventionError: There is no such convention.
    """
    known = CONVENTIONS.get(canonical_name(name))
    if known is not None:
        return known
    try:
        return _class_at(name)()
    except Exception as error:
        problem = str(error) if isinstance(error, _Unusable) else f"{type(error).__name__}: {error}"
        raise UnknownNamingConventionError(name=name, said_by=said_by, problem=problem, known=CONVENTIONS) from error


def canonical_name(name: str) -> str:
    """The short name of a convention that is told by its module in dlt; any other name as it is.

    >>> canonical_name("dlt.common.normalizers.naming.direct"), canonical_name("my_package.my_naming")
    ('direct', 'my_package.my_naming')
    """
    found = re.fullmatch(r"dlt\.common\.normalizers\.(?:names|naming)\.(\w+)(?:\.NamingConvention)?", name)
    return found[1] if found else name


def _in_snake_case(name: str) -> str:
    """Part the words, lower them, and see to digits in front and underscores behind."""
    name = _CASE_CHANGE.sub(r"\1_\2", _WORD_START.sub(r"\1_\2", name)).lower()
    if name[:1].isdigit():
        name = "_" + name
    name = _TRAILING.sub(lambda match: "x" * len(match[0]), name)
    return _UNDERSCORES.sub("_", name)


def _words(text: str) -> str:
    """Letters, digits and the marks that belong to them; one underscore for what is between."""
    kept: list[str] = []
    is_gap = False
    for character in text:
        follows_letter = bool(kept) and not is_gap and kept[-1] != "_"
        if character == "_" or character.isalnum() or (follows_letter and _is_mark(character)):
            kept.append(character)
            is_gap = False
        elif not is_gap:
            kept.append("_")
            is_gap = True
    return "".join(kept)


def _is_mark(character: str) -> bool:
    """Whether a character is part of the letter before it, such as the vowel signs of many scripts."""
    return unicodedata.category(character) in ("Mn", "Mc") and "VARIATION SELECTOR" not in unicodedata.name(character, "")


class _Unusable(Exception):
    """What is wrong with the path of a convention."""


def _class_at(path: str) -> type[NamingConvention]:
    module, name = path, CLASS_IN_MODULE
    if not _is_module(module):
        module, _, name = path.rpartition(".")
        if not _is_module(module):
            raise _Unusable(f"there is no module {path!r}" + (f", and no module {module!r}" if module else ""))
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, NamingConvention)):
        raise _Unusable(f"module {module!r} has no class {name!r} that derives from {__name__}.NamingConvention")
    return found


def _is_module(path: str) -> bool:
    try:
        return bool(path) and importlib.util.find_spec(path) is not None
    except (ModuleNotFoundError, ValueError) as error:
        missing = getattr(error, "name", None)
        if missing is not None and not path.startswith(missing):
            raise  # a module on the way to it lacks another one
        return False
