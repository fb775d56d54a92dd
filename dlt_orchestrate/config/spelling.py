"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Set

_LIKE = 0.62
"""Two names are one, written twice, if they are more alike than difflib's own 0.6, which takes 'format' for 'from'. Two
thirds still count: a third of the letters wrong in a short name ('url', 'uri'), a name cut in half ('user', 'username')."""
ALIKE = 0.85
"""How much alike names are of which one is a slip of the other, though either may be right."""
_LEAST_BEGINNING = 3
"""Letters of a short name that a longer one begins with, and is taken for: 'seperator' for 'sep'."""


def meant(name: str, known: Iterable[str], *, listed: Iterable[str] | None = None) -> str:
    """A sentence that says what was probably meant, or what there is.

    Args:
        listed: The names that are told where none is near; all that are known by default.

    >>> meant("pratitions", ["partitions", "schedule"])
    "Did you mean 'partitions'?"
    >>> meant("x", ["partitions", "schedule"])
    'Known are partitions, schedule.'
    >>> meant("x", ["partitions", "schedule"], listed=["partitions"])
    'Known are partitions.'
    """
    there = _listed(known)
    names = there if listed is None else _listed(listed)
    return likely([name], there) or (f"Known are {', '.join(names)}." if names else "There are none.")


def likely(names: Iterable[str], known: Iterable[str]) -> str:
    """A sentence that says what was probably meant by names that are not known; empty where nothing comes near.

    >>> likely(["pratitions", "x"], ["partitions", "schedule"]), likely(["x"], ["schedule"])
    ("Did you mean 'partitions'?", '')
    """
    there = _listed(known)
    near = dict.fromkeys(found for name in names if (found := nearest(name, there)) is not None)
    return f"Did you mean {' and '.join(map(repr, near))}?" if near else ""


def nearest(name: str, known: Iterable[str], likeness: float = _LIKE) -> str | None:
    """The known name that a name is most like, whatever the case; None if none is near.

    Args:
        likeness: How near at least, from 0 to 1. Only where it is left out, a part of a name counts, too.

    >>> nearest("Pratitions", ["partitions", "schedule"])
    'partitions'
    >>> nearest("seperator", ["header", "sep"]), nearest("glob", ["file_glob", "format"])
    ('sep', 'file_glob')
    >>> nearest("databse", ["database", "host"], ALIKE), nearest("hostaddr", ["database", "host"], ALIKE)
    ('database', None)
    """
    from difflib import get_close_matches  # only where something is wrong

    as_written = {one.lower(): one for one in reversed(_listed(known))}
    name = str(name).lower()
    near = get_close_matches(name, as_written, n=1, cutoff=likeness)
    if not near and likeness == _LIKE:
        near = [one for one in as_written if name in one.split("_")]
        if len(near) != 1:
            near = [one for one in as_written if len(one) >= _LEAST_BEGINNING and name.startswith(one)]
    return as_written[near[0]] if near else None


def _listed(names: Iterable[str]) -> list[str]:
    return sorted(names) if isinstance(names, Set) else list(names)
