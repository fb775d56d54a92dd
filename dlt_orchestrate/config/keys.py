"""Under which keys a value may stand, from the most specific to the most general."""

from __future__ import annotations

from functools import lru_cache

from dlt_orchestrate.dataclass import dataclass

SOURCES = "sources"

# Operating systems, shells and containers set these themselves: a parameter named `path` or `user` does not mean them.
_SET_BY_THE_SYSTEM = frozenset(
    "COLUMNS COMPUTERNAME DISPLAY EDITOR HOME HOSTNAME IFS LANG LINES LOGNAME MAIL OLDPWD OS PAGER PATH PS1 PWD SHELL TEMP "
    "TERM TMP TMPDIR TZ USER USERNAME".split()
)


@dataclass(frozen=True, slots=True)
class Key:
    """One place for a value, in the spellings that providers use.

    Attributes:
        path: The names from the outermost section to the field.
        dotted: The path as TOML writes it: `sources.github.access_token`.
        variable: The path as an environment variable: `SOURCES__GITHUB__ACCESS_TOKEN`; empty where the variable of
            that name belongs to the system, such as `PATH`.
    """

    path: tuple[str, ...]
    dotted: str
    variable: str


@lru_cache(maxsize=4096)
def keys_of(field: str, sections: tuple[str, ...] = (), pipeline_name: str | None = None) -> tuple[Key, ...]:
    """List the keys of a field within one pass, most specific first.

    Args:
        field: A name, or names joined by dots for a part of a value, such as `credentials.password`.
        sections: From the outermost to the innermost, such as `("sources", module, function)`.
        pipeline_name: Put before every key; None for the pass without it.

    >>> [key.dotted for key in keys_of("token", ("sources", "github", "issues"))]
    ['sources.github.issues.token', 'sources.github.token', 'sources.issues.token', 'sources.token', 'token']
    >>> keys_of("credentials", ("destination", "duckdb"), "quick_start")[0].variable
    'QUICK_START__DESTINATION__DUCKDB__CREDENTIALS'
    """
    prefix = (pipeline_name,) if pipeline_name else ()
    names = tuple(field.split("."))
    return tuple(_key((*prefix, *chain, *names)) for chain in _chains(sections))


def exact_key(dotted: str) -> Key:
    """Make the key that is spelled out, such as that of `dlt.secrets["sources.github.access_token"]`."""
    return _key(tuple(dotted.split(".")))


def _chains(sections: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    sections = tuple(section for section in sections if section)
    chains = [sections[:length] for length in range(len(sections), -1, -1)]
    if len(sections) == 3 and sections[0] == SOURCES:
        _, _, function = sections
        chains.insert(2, (SOURCES, function))
    return tuple(dict.fromkeys(chains))


def _key(path: tuple[str, ...]) -> Key:
    variable = "__".join(path).upper()
    return Key(path=path, dotted=".".join(path), variable="" if variable in _SET_BY_THE_SYSTEM else variable)
