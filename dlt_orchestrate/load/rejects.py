"""How many rows of a load may be rejected before the load is."""

from __future__ import annotations

from dlt_orchestrate.errors import TooManyRejectsError

MAX_REJECTED_ROWS = 1_000
MAX_REJECTED_SHARE = 0.01
SHARE_COUNTS_FROM_ROWS = 1_000


def expect_few_rejects(resource: str, *, rejected: int, rows: int, first_cause: str, replaces: bool = False) -> None:
    """Refuse a load with more rejects than the limits allow.

    Args:
        replaces: Whether the rows take the place of the stored ones, which no row must not do.

    Raises:
        TooManyRejectsError: There are more.
    """
    share = rejected / rows if rows else 0.0
    if rejected > MAX_REJECTED_ROWS:
        limit = f"the {MAX_REJECTED_ROWS:,} that are allowed"
    elif rows >= SHARE_COUNTS_FROM_ROWS and share > MAX_REJECTED_SHARE:
        limit = f"the {MAX_REJECTED_SHARE:.0%} that are allowed of a load of {SHARE_COUNTS_FROM_ROWS:,} rows or more"
    elif replaces and rejected and rejected >= rows:
        limit = "would leave a single row to replace the stored ones"
    else:
        return
    raise TooManyRejectsError(resource=resource, rejected=rejected, rows=rows, limit=limit, first_cause=first_cause)
