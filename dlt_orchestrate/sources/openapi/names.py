"""Names: of resources, from their paths, and of things in the singular."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from dlt_orchestrate.schema.conventions import UnicodeSnakeCase

_VERSION = re.compile(r"v?\d+(\.\d+)*|api|rest|latest|beta", re.IGNORECASE)
_VERBS = frozenset("all export filter find list query search".split())
_SNAKE = UnicodeSnakeCase()


def resource_names(paths: Sequence[Sequence[str]]) -> list[str]:
    """A name for each path, given by its parts: the last word, with as many before it as make it one of its kind.

    >>> resource_names([["users"], ["users", "{id}", "posts"], ["me", "posts"], ["v1", "teams.json"], ["teas", "search"]])
    ['users', 'users_posts', 'me_posts', 'teams', 'teas_search']
    """
    words = [_words_of(path) for path in paths]
    names = ["_".join(one[-1:]) for one in words]
    for length in range(2, max(map(len, words), default=0) + 1):
        shared = {name for name, count in Counter(names).items() if count > 1}
        names = ["_".join(one[-length:]) if name in shared else name for name, one in zip(names, words, strict=True)]
    return _numbered(names)


def slug(text: str) -> str:
    """A text as a name.

    >>> slug("Pet Store API"), slug("listUsers")
    ('pet_store_api', 'list_users')
    """
    return _SNAKE.normalize_identifier(re.sub(r"\W+", "_", text.strip()).strip("_") or "api")


def singular(word: str) -> str:
    """A word in the singular, by the rules that most words keep.

    >>> [singular(word) for word in ("users", "companies", "boxes", "status", "address", "data", "houses")]
    ['user', 'company', 'box', 'status', 'address', 'data', 'house']
    """
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def is_placeholder(part: str) -> bool:
    """Whether a part of a path stands for a value."""
    return "{" in part


def _words_of(path: Sequence[str]) -> list[str]:
    fixed = [part for part in path if not is_placeholder(part)]
    plain = [part for part in fixed if not _VERSION.fullmatch(part)] or fixed or ["root"]
    if plain[-1].lower() in _VERBS and len(plain) > 1:
        plain[-2:] = [f"{plain[-2]}_{plain[-1]}"]
    plain[-1] = re.sub(r"\.(json|xml)$", "", plain[-1])
    return [slug(part) for part in plain]


def _numbered(names: list[str]) -> list[str]:
    """The names, those that are there already with a number behind them."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        number, unique = 2, name
        while unique in seen:
            unique, number = f"{name}_{number}", number + 1
        seen.add(unique)
        names[index] = unique
    return names
