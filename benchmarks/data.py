"""Records for the benchmarks: generated, the same for every tool, and cheap to make next to loading them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]

PAGE_FLAT = 1_000
PAGE_NESTED = 100


def flat_pages(records: int, first_id: int = 0) -> Iterator[list[Record]]:
    """Records of ten plain fields: two ISO timestamps, floats, integers, a boolean, sparse text and numbers."""
    templates = [
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
    for start in range(0, records, PAGE_FLAT):
        size = min(PAGE_FLAT, records - start)
        yield [{**templates[i], "id": first_id + start + i} for i in range(size)]


def nested_pages(records: int, first_id: int = 0) -> Iterator[list[Record]]:
    """Issue-shaped records: about a hundred columns when flattened, and two lists of objects."""
    templates = [_issue(i) for i in range(PAGE_NESTED)]
    for start in range(0, records, PAGE_NESTED):
        size = min(PAGE_NESTED, records - start)
        yield [{**templates[i], "id": first_id + start + i} for i in range(size)]


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
