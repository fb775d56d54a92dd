"""How many rows of a load may be rejected before the load is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlt_orchestrate.errors import TooManyRejectsError
from dlt_orchestrate.flow.package import Reject, RejectLimits

SHARE_COUNTS_FROM_ROWS = 1_000
_CAUSES_SHOWN = 3


def expect_few_rejects(
    resource: str,
    limits: RejectLimits,
    *,
    rejected: int,
    rows: int,
    causes: Sequence[str],
    replaces: bool = False,
    is_whole: bool = True,
) -> None:
    """Refuse a load with more rejects than the limits allow.

    Args:
        causes: What is wrong with the first of them.
        is_whole: Whether nothing of the extraction is still to come, so that shares can be told.
        replaces: Whether the rows take the place of the stored ones, which no row must not do.

    Raises:
        TooManyRejectsError: There are more.
    """
    share = rejected / rows if rows else 0.0
    if rejected > limits.max_rows:
        allowed = f"the {limits.max_rows:,} that are allowed" if limits.max_rows else "the none that are allowed"
    elif is_whole and rows >= SHARE_COUNTS_FROM_ROWS and share > limits.max_share:
        allowed = f"the {_percent(limits.max_share)} that are allowed of a load of {SHARE_COUNTS_FROM_ROWS:,} rows or more"
    elif replaces and rejected and rejected >= rows:
        allowed = "would leave a single row to replace the stored ones"
    else:
        return
    raise TooManyRejectsError(resource=resource, rejected=rejected, rows=rows, limit=allowed, causes=causes)


def first_causes(rejects: Iterable[Reject]) -> tuple[str, ...]:
    """What is wrong with the first rejected rows, each cause once."""
    found: dict[str, None] = {}
    for reject in rejects:
        found[f"column {reject.column!r}: {reject.cause}" if reject.column else reject.cause] = None
        if len(found) == _CAUSES_SHOWN:
            break
    return tuple(found)


def _percent(share: float) -> str:
    return f"{share * 100:g} %"
