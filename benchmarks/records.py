"""Records for the benchmarks: generated, the same for every tool, and cheap to make next to loading them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Record = dict[str, Any]

PAGE_FLAT = 1_000
PAGE_NESTED = 100
PAGE_ARROW = 100_000

UPSERTS_UPDATE = 0.95
"""Share of upserts whose key is there."""

BASE_PER_UPSERT = 5


def flat_pages(records: int, first_id: int = 0) -> Iterator[list[Record]]:
    """Records of ten plain fields: two ISO timestamps, floats, integers, a boolean, sparse text and numbers."""
    return numbered(flat_templates(), records, first_id)


def nested_pages(records: int, first_id: int = 0) -> Iterator[list[Record]]:
    """Issue-shaped records: about a hundred columns when flattened, and two lists of objects."""
    return numbered(nested_templates(), records, first_id)


def upserts(templates: list[Record], records: int) -> Iterator[list[Record]]:
    """Pages of `records` records that change one in five rows of a table of five times their number, and add a few."""
    changed = [{**record, "price": record["price"] + 1} for record in templates]
    updates = int(records * UPSERTS_UPDATE)
    base = records * BASE_PER_UPSERT
    keys = chain(range(0, updates * BASE_PER_UPSERT, BASE_PER_UPSERT), range(base, base + records - updates))
    for _ in range(0, records, len(changed)):
        yield [{**record, "id": key} for key, record in zip(islice(keys, len(changed)), changed, strict=False)]


def rows_after_upserts(records: int) -> int:
    """Rows of the table then."""
    return records * BASE_PER_UPSERT + records - int(records * UPSERTS_UPDATE)


def wide_pages(records: int, columns: int, *, irregular: int = 0) -> Iterator[list[Record]]:
    """Records of many plain fields.

    Args:
        irregular: In so many fields one record in a hundred holds a value of another type.
    """
    size = max(1, min(PAGE_FLAT, 100_000 // columns))
    templates = [_wide(i, columns) for i in range(size)]
    for i in range(50, size, 100):
        templates[i] |= {f"field_{n}": _IRREGULAR[n % len(_IRREGULAR)] for n in range(1, irregular + 1)}
    return numbered(templates, records)


def arrow_pages(records: int) -> Iterator[pa.Table]:
    """The flat records as Arrow tables, with timestamps for the texts that hold one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    moment = pa.timestamp("us", "UTC")
    template = pa.Table.from_pylist(flat_templates())
    for name in ("created_at", "updated_at"):
        template = template.set_column(template.column_names.index(name), name, template[name].cast(moment))
    page = pa.concat_tables([template] * (PAGE_ARROW // template.num_rows)).combine_chunks()
    numbers = pa.array(range(PAGE_ARROW), pa.int64())
    for start in range(0, records, PAGE_ARROW):
        yield page.set_column(0, "id", pc.add(numbers, start)).slice(0, records - start)


def numbered(templates: list[Record], records: int, first_id: int = 0) -> Iterator[list[Record]]:
    """Pages of copies of the templates, each with an `id` of its own."""
    for start in range(0, records, len(templates)):
        size = min(len(templates), records - start)
        yield [{**templates[i], "id": first_id + start + i} for i in range(size)]


@cache
def flat_templates() -> list[Record]:
    return [
        {
            "id": 0,
            "name": f"customer {i}",
            "created_at": f"2025-{1 + i % 12:02d}-{1 + i % 28:02d}T{i % 24:02d}:{i % 60:02d}:00Z",
            "updated_at": f"2026-{1 + i % 12:02d}-{1 + i % 28:02d}T{i % 24:02d}:{i % 60:02d}:30Z",
            "price": i * 1.25,
            "ratio": i / 7,
            "quantity": i % 50,
            "is_active": i % 3 == 0,
            "note": f"note {i}" if i % 4 == 0 else None,
            "score": i * 0.1 if i % 5 else None,
        }
        for i in range(PAGE_FLAT)
    ]


@cache
def nested_templates() -> list[Record]:
    return [_issue(i) for i in range(PAGE_NESTED)]


@cache
def order_templates() -> list[Record]:
    """Flat records, each with a list of two objects."""
    return [
        {**record, "items": [{"sku": f"sku {i % 97 + n}", "quantity": i % 5 + n, "amount": i * 0.5 + n} for n in range(2)]}
        for i, record in enumerate(flat_templates())
    ]


def _wide(i: int, columns: int) -> Record:
    kinds = (i, i * 0.25, f"text {i % 50}", i % 2 == 0)
    return {"id": 0} | {f"field_{n}": kinds[n % len(kinds)] for n in range(1, columns)}


_IRREGULAR: tuple[Any, ...] = ("n/a", "about 3", 7)
"""By number of the field: a text among booleans, a text among doubles, an integer among texts."""


def _issue(i: int) -> Record:
    base = f"https://api.example.com/repos/acme/teahouse/issues/{i}"
    return {
        "id": i,
        "number": i,
        "node_id": f"I_{i:016d}",
        "title": f"Kettle {i} does not whistle",
        "body": f"Steps to reproduce, number {i}. " * (1 + i % 5),
        "state": "open" if i % 3 else "closed",
        "state_reason": None if i % 3 else "completed",
        "locked": i % 50 == 0,
        "comments": i % 17,
        "created_at": f"2025-{1 + i % 12:02d}-{1 + i % 28:02d}T{i % 24:02d}:{i % 60:02d}:00Z",
        "updated_at": f"2026-{1 + i % 12:02d}-{1 + i % 28:02d}T{i % 24:02d}:{i % 60:02d}:30Z",
        "closed_at": None if i % 3 else f"2026-06-{1 + i % 28:02d}T12:00:00Z",
        "author_association": "MEMBER",
        "url": base,
        **{f"{kind}_url": f"{base}/{kind}" for kind in ("comments", "events", "html", "labels", "repository", "timeline")},
        "user": _user(i),
        "assignee": _user(i + 1) if i % 4 == 0 else None,
        "closed_by": None if i % 3 else _user(i + 2),
        "milestone": {"id": i % 7, "title": f"v{i % 7}", "creator": _user(i + 3), "open_issues": i} if i % 5 == 0 else None,
        "reactions": {
            "url": f"{base}/reactions", "total_count": i % 9, "+1": i % 5, "-1": i % 2, "laugh": 0, "hooray": 0,
            "confused": 0, "heart": i % 3, "rocket": 0, "eyes": 1,
        },
        "labels": [_label(i + n) for n in range(i % 4)],
        "assignees": [_user(i + 1)] if i % 4 == 0 else [],
    }  # fmt: skip


def _user(i: int) -> Record:
    base = f"https://api.example.com/users/user{i}"
    kinds = ("followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events", "received")
    return {
        "login": f"user{i}",
        "id": 1_000 + i,
        "node_id": f"U_{i:012d}",
        "avatar_url": f"{base}/avatar",
        "gravatar_id": "",
        "url": base,
        "html_url": f"https://example.com/user{i}",
        **{f"{kind}_url": f"{base}/{kind}" for kind in kinds},
        "type": "User",
        "site_admin": False,
    }


def _label(i: int) -> Record:
    return {
        "id": i % 20,
        "node_id": f"L_{i % 20:06d}",
        "url": f"https://api.example.com/labels/{i % 20}",
        "name": f"label {i % 20}",
        "color": f"{i % 20:02x}ff00",
        "default": i % 2 == 0,
        "description": f"All about {i % 20}",
    }
