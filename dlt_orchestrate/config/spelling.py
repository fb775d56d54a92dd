"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Set


def likely(names: Iterable[str], known: Iterable[str]) -> str:
    """A sentence that says what was probably meant by names that are not known; empty where nothing comes near.

    >>> likely(["pratitions", "x"], ["partitions", "schedule"]), likely(["x"], ["schedule"])
    ("Did you mean 'partitions'?", '')
    """
    there = sorted(known) if isinstance(known, Set) else list(known)
    near = dict.fromkeys(found for name in names if (found := _nearest(name, there)) is not None)
    return f"Did you mean {' and '.join(map(repr, near))}?" if near else ""


def meant(name: str, known: Iterable[str]) -> str:
    """A sentence that says what was probably meant, or what there is.

    >>> meant("pratitions", ["partitions", "schedule"])
    "Did you mean 'partitions'?"
    >>> meant("x", ["partitions", "schedule"])
    'Known are partitions, schedule.'
    """
    names = sorted(known) if isinstance(known, Set) else list(known)
    return likely([name], names) or (f"Known are {', '.join(names)}." if names else "There are none.")


def _nearest(name: str, known: list[str]) -> str | None:
    from difflib import get_close_matches  # only where something is wrong

    as_written = {one.lower(): one for one in reversed(known)}
    return next((as_written[near] for near in get_close_matches(str(name).lower(), as_written, n=1, cutoff=0.62)), None)
