"""What row ids look like, wherever they are made."""

from __future__ import annotations

import hashlib

ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""In ASCII order, so that numbered ids sort as their rows do."""

ID_LENGTH = 14


def hashed_id(text: str) -> str:
    """An id of 84 bits of a text's hash.

    >>> hashed_id("a") == hashed_id("a"), hashed_id("a") == hashed_id("b"), len(hashed_id("a"))
    (True, False, 14)
    """
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
    return "".join(ALPHABET[(number >> shift) & 63] for shift in range(0, 6 * ID_LENGTH, 6))
