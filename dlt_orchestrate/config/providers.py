"""The places that hold values: environment, TOML files, and what code sets in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from dlt_orchestrate.config.keys import Key
from dlt_orchestrate.errors import ConfigFileError

FOLDER = ".dlt"
DATA_DIR_VARIABLE = "DLT_DATA_DIR"


class ConfigProvider(Protocol):
    """A place that holds values.

    Attributes:
        name: As users know it; error messages and `config explain` show it.
        holds_secrets: Whether secrets may stand there; one that is found elsewhere is an error.
    """

    name: str
    holds_secrets: bool

    @property
    def is_empty(self) -> bool:
        """Whether it has no values at all, so that asking it is needless."""

    def get(self, key: Key) -> Any:
        """Find the value under a key: a text, or a number, list or table where the place has such; None without one."""

    def shown(self, key: Key) -> str:
        """How users write the key there; empty if this place is never asked for it."""


class Environment:
    """Environment variables, read when they are asked for."""

    name = "Environment Variables"
    holds_secrets = True
    is_empty = False

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def get(self, key: Key) -> Any:
        return self._environ.get(key.variable)

    def table(self, key: Key) -> dict[str, Any] | None:
        """The variables below a key, as a table of lower-case names; None without one.

        >>> from dlt_orchestrate.config.keys import exact_key
        >>> Environment({"FILES__CREDENTIALS__AWS_REGION": "eu"}).table(exact_key("files.credentials"))
        {'aws_region': 'eu'}
        """
        if not key.variable:
            return None
        prefix = f"{key.variable}__"
        found: dict[str, Any] = {}
        for name, value in self._environ.items():
            if name.startswith(prefix):
                *sections, field = name[len(prefix) :].lower().split("__")
                table = found
                for section in sections:
                    table = table.setdefault(section, {})
                table[field] = value
        return found or None

    def shown(self, key: Key) -> str:
        return key.variable


class Tree:
    """Values in memory: nested tables, or dotted keys that stand for them.

    >>> from dlt_orchestrate.config.keys import exact_key
    >>> Tree("resource", {"sources.github.token": "t"}, holds_secrets=True).get(exact_key("sources.github"))
    {'token': 't'}
    """

    def __init__(self, name: str, values: Mapping[str, Any] | None = None, *, holds_secrets: bool) -> None:
        self.name = name
        self.holds_secrets = holds_secrets
        self._tables: dict[str, Any] = {}
        for dotted, value in (values or {}).items():
            self.put(dotted, value)

    @property
    def is_empty(self) -> bool:
        return not self._tables

    def get(self, key: Key) -> Any:
        return _descend(self._tables, key.path)

    def shown(self, key: Key) -> str:
        return key.dotted

    def put(self, dotted: str, value: Any) -> None:
        """Set a value; tables on the way to it are made, and replace a value that stands there."""
        *sections, field = dotted.split(".")
        table = self._tables
        for section in sections:
            inner = table.get(section)
            if not isinstance(inner, dict):
                inner = table[section] = {}
            table = inner
        table[field] = merged(table.get(field), value)

    def remove(self, dotted: str) -> None:
        """Forget a value or a table, and tables on the way to it that hold nothing else; KeyError if there is none.

        >>> tree = Tree("code", {"schema.naming": "direct"}, holds_secrets=False)
        >>> tree.remove("schema.naming")
        >>> tree.is_empty
        True
        """
        *sections, field = dotted.split(".")
        table = _descend(self._tables, sections) if sections else self._tables
        if not isinstance(table, dict) or field not in table:
            raise KeyError(dotted)
        del table[field]
        if sections and not table:
            self.remove(".".join(sections))

    def clear(self) -> None:
        """Forget everything."""
        self._tables.clear()


class TomlFiles:
    """One TOML file of the project laid over the file of the same name of the user; parsed once, when first asked.

    Attributes:
        paths: The more specific file first.
    """

    def __init__(self, name: str, paths: Sequence[Path], *, holds_secrets: bool) -> None:
        self.name = name
        self.paths = tuple(dict.fromkeys(paths))
        self.holds_secrets = holds_secrets

    @property
    def is_empty(self) -> bool:
        return not self._tables

    def get(self, key: Key) -> Any:
        return _descend(self._tables, key.path)

    def shown(self, key: Key) -> str:
        return key.dotted

    @property
    def files(self) -> Mapping[Path, bool]:
        """Every file that was looked for, with whether it is there."""
        return {path: tables is not None for path, tables in self._parsed.items()}

    @cached_property
    def _parsed(self) -> dict[Path, dict[str, Any] | None]:
        return {path: _parse(path) for path in self.paths}

    @cached_property
    def _tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = {}
        for above in reversed(self._parsed.values()):
            tables = merged(tables, above or {})
        return tables


def merged(below: Any, above: Any) -> Any:
    """Lay one value over another: tables merge key by key, anything else replaces.

    >>> merged({"github": {"repo": "a", "n": 1}}, {"github": {"repo": "b"}})
    {'github': {'repo': 'b', 'n': 1}}
    """
    if not isinstance(above, Mapping):
        return above
    base = below if isinstance(below, Mapping) else {}
    return {**base, **{name: merged(base.get(name), value) for name, value in above.items()}}


def config_folders(project_dir: Path | None, home_dir: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Find the folders that hold configuration, the project's first.

    The user's is `.dlt` in the home folder, or the folder that `DLT_DATA_DIR` names; without a home folder there is none.
    """
    project = (project_dir or Path.cwd()) / FOLDER
    if data_dir := environ.get(DATA_DIR_VARIABLE):
        return (project, Path(data_dir))
    home = home_dir or _home()
    return (project,) if home is None else (project, home / FOLDER)


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # a user without a home folder, as in some containers
        return None


def _descend(tables: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(tables, dict):
            return None
        tables = tables.get(name)
    return tables


def _parse(path: Path) -> dict[str, Any] | None:
    """Parse a file; None if it is not there."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    import tomli

    try:
        return tomli.loads(content.decode())
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
    # Raised here, not in the handler: the parser's exception holds the whole text of the file, secrets included.
    raise ConfigFileError(path=str(path), problem=problem)
