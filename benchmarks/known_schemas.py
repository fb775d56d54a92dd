"""The records' schemas, as a person would write them down, and the loads that rely on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pyarrow as pa

from benchmarks.by_hand import (
    BIGINT,
    BOOL,
    DOUBLE,
    MOMENT,
    TEXT,
    Fields,
    Loader,
    Record,
    arrays,
    batch,
    children,
)

CUSTOMER: Fields = {
    "id": BIGINT,
    "name": TEXT,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "price": DOUBLE,
    "ratio": DOUBLE,
    "quantity": BIGINT,
    "is_active": BOOL,
    "note": TEXT,
    "score": DOUBLE,
}

ITEM: Fields = {"sku": TEXT, "quantity": BIGINT, "amount": DOUBLE}

_KINDS_OF_URL = ("comments", "events", "html", "labels", "repository", "timeline")
_KINDS_OF_USER_URL = (
    "followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events", "received",
)  # fmt: skip

ISSUE: Fields = {
    "id": BIGINT,
    "number": BIGINT,
    "node_id": TEXT,
    "title": TEXT,
    "body": TEXT,
    "state": TEXT,
    "state_reason": TEXT,
    "locked": BOOL,
    "comments": BIGINT,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "closed_at": MOMENT,
    "author_association": TEXT,
    "url": TEXT,
    **{f"{kind}_url": TEXT for kind in _KINDS_OF_URL},
}
USER: Fields = {
    "login": TEXT,
    "id": BIGINT,
    "node_id": TEXT,
    "avatar_url": TEXT,
    "gravatar_id": TEXT,
    "url": TEXT,
    "html_url": TEXT,
    **{f"{kind}_url": TEXT for kind in _KINDS_OF_USER_URL},
    "type": TEXT,
    "site_admin": BOOL,
}
MILESTONE: Fields = {"id": BIGINT, "title": TEXT, "open_issues": BIGINT}
REACTIONS: Fields = {
    "url": TEXT,
    **dict.fromkeys(("total_count", "+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"), BIGINT),
}
LABEL: Fields = {
    "id": BIGINT,
    "node_id": TEXT,
    "url": TEXT,
    "name": TEXT,
    "color": TEXT,
    "default": BOOL,
    "description": TEXT,
}


def load_orders(loader: Loader, rows: Sequence[Record], *, root: str = "records", items: str = "records__items") -> None:
    """Customers with lists of items."""
    loader.add(root, batch(rows, CUSTOMER))
    found = children([row["id"] for row in rows], [row["items"] for row in rows], ITEM)
    if found is not None:
        loader.add(items, found)


def load_issues(loader: Loader, rows: Sequence[Record]) -> None:
    """Issues, flattened, and their two lists."""
    milestones = _objects(rows, "milestone", MILESTONE | {"creator": None})
    parts = [
        ("", rows, ISSUE),
        ("user__", _objects(rows, "user", USER), USER),
        ("assignee__", _objects(rows, "assignee", USER), USER),
        ("closed_by__", _objects(rows, "closed_by", USER), USER),
        ("milestone__", milestones, MILESTONE),
        ("milestone__creator__", _objects(milestones, "creator", USER), USER),
        ("reactions__", _objects(rows, "reactions", REACTIONS), REACTIONS),
    ]
    columns = chain.from_iterable(arrays(objects, fields) for _, objects, fields in parts)
    loader.add("records", pa.RecordBatch.from_arrays(list(columns), _ISSUE_COLUMNS))
    ids = [row["id"] for row in rows]
    for name, fields in (("labels", LABEL), ("assignees", USER)):
        found = children(ids, [row[name] for row in rows], fields)
        if found is not None:
            loader.add(f"records__{name}", found)


def _objects(rows: Sequence[Record], key: str, fields: dict) -> list[Record]:
    """The objects under a key; one without values where there is none."""
    empty = dict.fromkeys(fields)
    return [row[key] or empty for row in rows]


_ISSUE_COLUMNS = [
    *ISSUE,
    *(
        f"{prefix}{name}"
        for prefix, fields in (
            ("user__", USER),
            ("assignee__", USER),
            ("closed_by__", USER),
            ("milestone__", MILESTONE),
            ("milestone__creator__", USER),
            ("reactions__", REACTIONS),
        )
        for name in fields
    ),
]
