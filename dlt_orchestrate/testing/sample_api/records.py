"""The records of the sample API: invented, and the same on every machine.

Each record is made from the name of its repository and its own number alone, so record 7 is the same whether 10 or
1,000 are made, and in whatever order.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Record = dict[str, Any]

FIRST_DAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
CLONE_DAYS = 14

_FIRST_ID = 3_000_000_000
"""Beyond 32 bits, as the ids of the real API are."""
_REPOSITORY_IDS = 1_000_000_000

_LOGINS = ("ada-brew", "bo_kettle", "chai-li", "dörte", "earl-g", "fumiko", "gus-pot", "hibiscus", "ivo", "jun-茶")
_LABELS = (
    ("bug", "d73a4a", "Something does not work"),
    ("enhancement", "a2eeef", "New feature or request"),
    ("documentation", "0075ca", None),
    ("good first issue", "7057ff", "Good for newcomers"),
    ("help wanted", "008672", "Extra attention is needed"),
    ("área: infusión", "fbca04", "Everything that touches hot water ♨"),
    ("performance", "5319e7", None),
)
_VERBS = ("Boil", "Pour", "Strain", "Warm", "Whisk", "Label", "Rinse", "Measure", "Refill", "Sort")
_THINGS = ("the kettle", "the green tin", "café cups", "the menu 菜单", "oolong leaves", "the tea cosy", "the strainer")
_REASONS = ("before noon", "twice a day", "when guests arrive", "without spilling", "if it's <hot>", "— or don't 🫖")
_SENTENCES = (
    "It worked yesterday.",
    "Steps: fill, heat, wait; then nothing happens.",
    'The note on the jar says "do not open".',
    "Größe und Gewicht fehlen im Etikett.",
    "```\nkettle --temperature 96\n```",
    "お湯が足りません。",
    "Seen on two of three stoves 🔥.",
)
_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
_MILESTONES = (("Spring menu", "2026-04-01T00:00:00Z"), ("Winter menu", None))
_ASSOCIATIONS = ("NONE", "CONTRIBUTOR", "MEMBER", "OWNER")


def timestamp(moment: datetime) -> str:
    """Write a moment as the API does.

    >>> timestamp(FIRST_DAY)
    '2026-01-05T08:00:00Z'
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def issue(repository: str, number: int) -> Record:
    """Make the issue of that number; every fifth is closed, every sixth is a pull request.

    Newer issues have higher numbers. Issues 7, 17, 27 … were updated in the same second as the one before them.
    """
    random = _random(repository, "issue", number)
    created_at = FIRST_DAY + timedelta(minutes=97 * number, seconds=random.randrange(60))
    updated_at = _updated_at(repository, number)
    is_closed = number % 5 == 0
    assignees = [_user(login) for login in sorted(random.sample(_LOGINS, random.choice((0, 0, 1, 2))))]
    record: Record = {
        "id": _FIRST_ID + number,
        "number": number,
        "url": f"https://api.example/repos/{repository}/issues/{number}",
        "title": f"{random.choice(_VERBS)} {random.choice(_THINGS)} {random.choice(_REASONS)}",
        "body": None if number % 7 == 0 else " ".join(random.sample(_SENTENCES, random.randint(1, 3))),
        "user": _user(random.choice(_LOGINS)),
        "labels": [_label(index) for index in sorted(random.sample(range(len(_LABELS)), random.randrange(4)))],
        "state": "closed" if is_closed else "open",
        "state_reason": random.choice(("completed", "not_planned")) if is_closed else None,
        "locked": number % 40 == 0,
        "active_lock_reason": None,
        "assignee": assignees[0] if assignees else None,
        "assignees": assignees,
        "milestone": _milestone(random),
        "comments": random.randrange(6),
        "author_association": random.choice(_ASSOCIATIONS),
        "reactions": _reactions(random),
        "created_at": timestamp(created_at),
        "updated_at": timestamp(updated_at),
        "closed_at": timestamp(updated_at) if is_closed else None,
    }
    if number % 6 == 0:
        record["draft"] = number % 12 == 0
        record["pull_request"] = {
            "url": f"https://api.example/repos/{repository}/pulls/{number}",
            "merged_at": record["closed_at"],
        }
    return record


def comment(repository: str, number: int) -> Record:
    """Make the commit comment of that number; some are on a line of a file, some on the commit as a whole."""
    random = _random(repository, "comment", number)
    created_at = FIRST_DAY + timedelta(hours=3 * number, seconds=random.randrange(60))
    on_a_line = random.random() < 0.6
    return {
        "id": _FIRST_ID + number,
        "url": f"https://api.example/repos/{repository}/comments/{_FIRST_ID + number}",
        "body": random.choice(_SENTENCES),
        "user": _user(random.choice(_LOGINS)),
        "commit_id": f"{random.getrandbits(160):040x}",
        "path": "recipes/oolong.md" if on_a_line else None,
        "line": random.randrange(1, 200) if on_a_line else None,
        "author_association": random.choice(_ASSOCIATIONS),
        "reactions": _reactions(random),
        "created_at": timestamp(created_at),
        "updated_at": timestamp(created_at + timedelta(minutes=random.randrange(120))),
    }


def clones(repository: str) -> Record:
    """Make the clone statistics: totals, and one entry without an id for each day."""
    random = _random(repository, "clones", 0)
    days = []
    for day in range(CLONE_DAYS):
        count = random.randrange(1, 40)
        midnight = FIRST_DAY.replace(hour=0) + timedelta(days=day)
        days.append({"timestamp": timestamp(midnight), "count": count, "uniques": random.randint(1, count)})
    return {
        "count": sum(day["count"] for day in days),
        "uniques": sum(day["uniques"] for day in days),
        "clones": days,
    }


def repository(name: str, *, open_issues: int, updated_at: str) -> Record:
    """Describe the repository itself; as in the real API, `pushed_at` does not move when issues do."""
    owner, short_name = name.split("/")
    return {
        "id": _FIRST_ID + _random(name, "repository", 0).randrange(_REPOSITORY_IDS),
        "name": short_name,
        "full_name": name,
        "owner": _user(owner),
        "private": False,
        "description": "A small house for tea 🍵",
        "topics": ["tea", "sample-data"],
        "license": None,
        "open_issues_count": open_issues,
        "created_at": timestamp(FIRST_DAY),
        "updated_at": updated_at,
        "pushed_at": timestamp(FIRST_DAY + timedelta(days=1)),
    }


def _random(repository: str, kind: str, number: int) -> Random:
    return Random(f"{repository}/{kind}/{number}")  # noqa: S311 - invented records need no strong randomness


def _updated_at(repository: str, number: int) -> datetime:
    of_number = number - 1 if number % 10 == 7 else number
    later = _random(repository, "update", of_number).randrange(60 * 24 * 20)
    return FIRST_DAY + timedelta(minutes=97 * (of_number + 2) + later)


def _user(login: str) -> Record:
    return {
        "login": login,
        "id": 1_000 + sum(login.encode()),
        "url": f"https://api.example/users/{login}",
        "type": "User",
        "site_admin": False,
    }


def _label(index: int) -> Record:
    name, color, description = _LABELS[index]
    return {"id": 100 + index, "name": name, "color": color, "default": index < 5, "description": description}


def _milestone(random: Random) -> Record | None:
    index = random.randrange(4)
    if index >= len(_MILESTONES):
        return None
    title, due_on = _MILESTONES[index]
    return {"number": index + 1, "title": title, "state": "open", "due_on": due_on}


def _reactions(random: Random) -> Record:
    counts = {name: random.choice((0, 0, 0, 1, 2, 5)) for name in _REACTIONS}
    return {"total_count": sum(counts.values()), **counts}
