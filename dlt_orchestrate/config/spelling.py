"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Set


def meant(name: str, known: Iterable[str]) -> str:
    """A sentence that says what was probably meant, or what there is.

    >>> meant("pratitions", ["partitions", "schedule"])
    "Did you mean 'partitions'?"
    >>> meant("x", ["partitions", "schedule"])
    'Known are partitions, schedule.'
    """
    from difflib import get_close_matches  # only where something is wrong

    names = sorted(known) if isinstance(known, Set) else list(known)
    if close := get_close_matches(str(name), names, n=1, cutoff=0.62):
        return f"Did you mean {close[0]!r}?"
    return f"Known are {', '.join(names)}." if names else "There are none."
