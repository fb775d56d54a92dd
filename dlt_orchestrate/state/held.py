"""What a cursor still has to ask for behind the newest row that was accepted: the values of rows that were rejected.

A row that is mended at its source keeps its cursor value. So the next run asks from the oldest value of a rejected row, and
takes the rows that hold such a value again; those of them that were accepted are told by what they say, and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.state.values import decode, encode

HELD, REJECTED = "held", "rejected"
"""Their keys in the state of a cursor, beside `last_value`."""


@dataclass(frozen=True)
class Held:
    """Held values of one cursor.

    Attributes:
        accepted: By value, the identities of the rows of this value that were accepted.
        rejected: Identities of rejections, each of a row and its cause: they are in `_dlt_rejects` already.
        hashes: By value, the hashes of rows of this value that were accepted before one of it was rejected, as a cursor
            tells rows apart at its newest value.
    """

    accepted: Mapping[Any, Counter[str]] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    hashes: Mapping[Any, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Held:
        """Read what the state of a cursor holds."""
        found = stored.get(HELD, ())
        return cls(
            {decode(entry["value"]): Counter(entry["accepted"]) for entry in found},
            frozenset(stored.get(REJECTED, ())),
            {decode(entry["value"]): frozenset(entry["hashes"]) for entry in found if "hashes" in entry},
        )

    def written(self) -> dict[str, Any]:
        """JSON-like, to stand beside `last_value`; nothing if nothing is held."""
        held = [
            {
                "value": encode(value),
                "accepted": sorted(known.elements()),
                **({"hashes": sorted(self.hashes[value])} if value in self.hashes else {}),
            }
            for value, known in self.accepted.items()
        ]
        return {**({HELD: held} if held else {}), **({REJECTED: sorted(self.rejected)} if self.rejected else {})}

    def __bool__(self) -> bool:
        return bool(self.accepted or self.rejected)
