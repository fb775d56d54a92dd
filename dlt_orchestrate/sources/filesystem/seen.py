"""Which files were loaded before: a set of short hashes in the state of the resource."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal

from dlt_orchestrate.sources.filesystem.storage import StoredFile

LoadOnce = Literal["name", "version"]

KEY = "seen_files"
_HASH_BYTES = 8
_FEW = 1_000


class SeenFiles:
    """The files of earlier runs, and of this one as soon as they are read.

    A file is known by 64 bits of a hash, so that a hundred thousand of them take less than a megabyte: among so many, a
    new file is taken for one of them once in 10^14 times. Most stand in one sorted run of bytes; the latest in a list
    beside it, which is merged into the run when it has grown to a quarter of it, so that to note a file takes the same
    time however many there are.
    """

    def __init__(self, state: MutableMapping[str, Any], by: LoadOnce) -> None:
        """
        Args:
            state: Of the resource; what is noted stands in it at once.
            by: `name`: a file counts as seen whatever it holds now. `version`: one that has changed is new.
        """
        self._by = by
        self._kept: MutableMapping[str, Any] = state.setdefault(KEY, {"by": by, "hashes": b"", "latest": []})
        if self._kept["by"] != by:
            # What was noted by names says nothing of versions, and the other way round.
            self._kept |= {"by": by, "hashes": b"", "latest": []}
        hashes: bytes = self._kept["hashes"]
        self._known = {hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES)}
        self._known |= {bytes.fromhex(text) for text in self._kept["latest"]}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, file: StoredFile) -> bool:
        return self._hash(file) in self._known

    def note(self, files: Iterable[StoredFile]) -> None:
        """Remember files."""
        for file in files:
            found = self._hash(file)
            if found not in self._known:
                self._known.add(found)
                self._kept["latest"].append(found.hex())
        if len(self._kept["latest"]) > max(_FEW, len(self._kept["hashes"]) // _HASH_BYTES // 4):
            self._kept["hashes"] = b"".join(sorted(self._known))
            self._kept["latest"] = []

    def forget(self, files: Iterable[StoredFile]) -> None:
        """Take back what was noted of files."""
        known = self._known.difference(map(self._hash, files))
        if len(known) < len(self._known):
            self._known = known
            self._kept["hashes"] = b"".join(sorted(known))
            self._kept["latest"] = []

    def _hash(self, file: StoredFile) -> bytes:
        told = file.relative_path if self._by == "name" else f"{file.relative_path}\0{file.mark}"
        return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()
