"""The file sensor: assets are ingested when files have come or changed, and are whole."""

import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from dagster import (
    DefaultSensorStatus,
    DynamicPartitionsDefinition,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from dlt_orchestrate.config.redaction import redact, redact_url
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.selection import Assets
from dlt_orchestrate.dagster.ticks import Cursor, Decision, build_sensor
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError, FilesNotListedError

FILES = "dlt_orchestrate/files"
"""Tag of a run: which files it was launched for."""

_LISTING_SECONDS = 30.0  # Dagster gives a tick 60
_WAITING_REMEMBERED = 1_000
_FILES_NAMED = 5

Mark = tuple[int, int]
"""What tells one content of a file from another: modification time in nanoseconds, and size in bytes."""
Place = tuple[int, str]
"""Where a file stands in the order of files: modification time in nanoseconds, and name."""


@dataclass(frozen=True)
class FileCursor(Cursor):
    """Which files have been seen.

    Attributes:
        seen: The mark of each file seen last, by name; as many as the sensor remembers.
        floor: The high-water mark of those that were forgotten: what is not younger counts as seen.
        waiting: New files that are not known to be whole yet: mark, and when it was first met, in seconds since 1970.
        partitions: The name of the partitions that have the files seen as keys; None if they are no partitions.
    """

    seen: Mapping[str, Mark] = field(default_factory=dict)
    floor: Place | None = None
    waiting: Mapping[str, tuple[int, int, float]] = field(default_factory=dict)
    partitions: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        seen = {str(name): (int(mtime), int(size)) for name, (mtime, size) in self.seen.items()}
        waiting = {str(name): (int(mtime), int(size), float(at)) for name, (mtime, size, at) in self.waiting.items()}
        floor = None if self.floor is None else (int(self.floor[0]), str(self.floor[1]))
        for name, value in (("seen", seen), ("waiting", waiting), ("floor", floor)):
            object.__setattr__(self, name, value)

    @classmethod
    def read(cls, text: str | None, *, last_run_key: str | None = None) -> "FileCursor":
        try:
            return super().read(text, last_run_key=last_run_key)
        except (AttributeError, IndexError):
            return super().read(None, last_run_key=text)

    def is_new(self, name: str, mark: Mark) -> bool:
        """Whether a file is not among those seen, or has changed since."""
        if name in self.seen:
            return self.seen[name] != mark
        return self.floor is None or (mark[0], name) > self.floor

    def noting(self, names: Mapping[str, Mark], now: float) -> "FileCursor":
        """The cursor with the files that wait, each since its present content was first met."""
        kept = {name: self.waiting[name] for name, mark in names.items() if self.waiting.get(name, ())[:2] == mark}
        return replace(self, waiting={name: kept.get(name, (*mark, now)) for name, mark in names.items()})

    def having_seen(self, files: Mapping[str, Mark], *, unseen: Mapping[str, Mark], remembered: int) -> "FileCursor":
        """The cursor after files were handed to a run; the oldest are forgotten beyond `remembered`.

        A floor is never put above a file that is still to come.
        """
        seen, floor = {**self.seen, **files}, self.floor
        first_unseen = min((place(name, mark) for name, mark in unseen.items()), default=None)
        for mtime, name in sorted(place(name, mark) for name, mark in seen.items())[: max(len(seen) - remembered, 0)]:
            if first_unseen is not None and (mtime, name) >= first_unseen:
                break
            del seen[name]
            floor = max(floor or (mtime, name), (mtime, name))
        return replace(self, seen=seen, floor=floor, counter=self.counter + 1)


def place(name: str, mark: Mark) -> Place:
    """Where a file stands in the order of files."""
    return mark[0], name


def build_file_sensor(
    bucket_url: str | Path | Callable[[], str | Path],
    assets: Assets,
    *,
    name: str,
    file_glob: str = "*",
    credentials: Mapping[str, Any] | str | Callable[[], Mapping[str, Any] | str | None] | None = None,
    min_age_seconds: float = 10,
    partitions_def: DynamicPartitionsDefinition | None = None,
    max_files: int = 100,
    remembered_files: int = 1_000,
    minimum_interval_seconds: int = 30,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
    description: str | None = None,
) -> SensorDefinition:
    """A sensor that looks for new and changed files in a folder or bucket, and materializes `assets` if there are some.

    A file is taken when two ticks have met it with the same size and modification time, and it has not been written to for
    `min_age_seconds`: one that is still being written waits. What has been seen is known by name, size and modification
    time of the last `remembered_files` files; of those before, only how far they went: a file that comes with an older
    modification time than all that are remembered is overlooked. Names that begin with a dot are left out, as are those
    that no partition key can hold.

    Args:
        bucket_url: A folder, or the address of a folder or bucket, such as `s3://bucket/prefix`; or a function that gives
            it: called at each tick, so that it may read configuration.
        file_glob: Which files in it, as `Path.glob` reads it, such as `*.csv`, or `**/*.csv` with folders below.
        credentials: Of the object store, as `sources.filesystem` takes them, or a function that gives them; by default
            those that are configured for it.
        min_age_seconds: 0 takes files at once.
        partitions_def: Makes each file a partition, with its path in the folder as key, and launches a run for each;
            without it there is one run for all files of a tick. Partitions of another name get the keys of all files that
            were seen before.
        max_files: The most files of one tick; older ones come first, and what is left is for the next tick.

    Raises:
        DeclarationError: The partitions have no name, or a number is too small.
    """
    if partitions_def is not None and partitions_def.name is None:
        raise DeclarationError(f"File sensor {name!r}: its dynamic partitions have no name, which adding to them needs.")
    if max_files < 1 or remembered_files < 1 or min_age_seconds < 0:
        raise DeclarationError(
            f"File sensor {name!r}: max_files={max_files} and remembered_files={remembered_files} are at least 1, and "
            f"min_age_seconds={min_age_seconds} at least 0."
        )

    def decide(context: SensorEvaluationContext, cursor: FileCursor) -> Decision:
        root = bucket_url() if callable(bucket_url) else bucket_url
        shown = redact_url(str(root))
        try:
            found = dict(_listed(root, file_glob, credentials() if callable(credentials) else credentials))
        except FilesNotListedError as error:
            return SkipReason(f"{redact(str(error))} The next tick tries again.")
        except NotADirectoryError:
            return SkipReason(f"{root} is no folder, or cannot be read. The next tick tries again.")
        except TimeoutError:
            return SkipReason(
                f"Listing {shown} took longer than {_LISTING_SECONDS:.0f} s. Watch fewer files, or a part of them."
            )
        new = {path: mark for path, mark in found.items() if cursor.is_new(path, mark)}
        ready, waiting = _sorted_out(cursor, new, now=time.time(), min_age=min_age_seconds, max_files=max_files)
        left = {path: mark for path, mark in new.items() if path not in ready}
        noted = replace(cursor.noting(waiting, time.time()), partitions=partitions_def.name if partitions_def else None)
        # Files that were seen before the partitions got this name would never be keys of theirs.
        known = [path for path in found if path not in new] if noted.partitions != cursor.partitions else []
        added = [partitions_def.build_add_request([*known, *ready])] if partitions_def and (known or ready) else None
        if not ready:
            what = _why_they_wait(cursor, new, now=time.time(), min_age=min_age_seconds) or "No file is new"
            there = f"{len(found)} {'matches' if len(found) == 1 else 'match'} {file_glob!r} in {shown}"
            return SensorResult(
                skip_reason=f"{what}; {there}.",
                dynamic_partitions_requests=added,
                cursor=noted.to_json(),
            )
        moved = noted.having_seen(ready, unseen=left, remembered=remembered_files)
        context.log.info("%d of %d files are new and whole: %s", len(ready), len(found), _told(ready))
        return SensorResult(
            run_requests=list(_run_requests(moved, ready, is_partitioned=partitions_def is not None)),
            dynamic_partitions_requests=added,
            cursor=moved.to_json(),
        )

    return build_sensor(
        name,
        assets,
        decide,
        cursor=FileCursor,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Launches a run when files that match {file_glob!r} have come or changed.",
    )


def _listed(root: str | Path, pattern: str, credentials: Any) -> Iterator[tuple[str, Mark]]:
    """The files of a folder or a bucket by their path in it.

    Raises:
        NotADirectoryError: There is no such folder.
        FilesNotListedError: The store cannot be read.
        TimeoutError: It took too long.
    """
    if "://" not in str(root):
        if not Path(root).is_dir():
            raise NotADirectoryError
        yield from _files(Path(root), pattern)
        return
    from dlt_orchestrate.sources.filesystem.storage import Storage

    if credentials is None:
        found = Resolver.from_environment().lookup(
            "credentials", ("sources", "filesystem"), dict[str, Any] | str | None, is_secret=True
        )
        credentials = None if found is None else found.value
    started = time.monotonic()
    for file in Storage.opened(str(root), credentials).files(pattern):
        if time.monotonic() - started > _LISTING_SECONDS:
            raise TimeoutError
        if _can_be_key(file.relative_path):
            yield file.relative_path, (int(file.modified.timestamp() * 1e9), file.size)


def _can_be_key(path: str) -> bool:
    """Whether a path can be the key of a partition."""
    return "..." not in path and path.isprintable()


def _files(root: Path, pattern: str) -> Iterator[tuple[str, Mark]]:
    """The files of a folder by their path in it; files that vanish meanwhile are none.

    Raises:
        TimeoutError: It took too long.
    """
    deadline = time.monotonic() + _LISTING_SECONDS
    for path in root.glob(pattern):
        if time.monotonic() > deadline:
            raise TimeoutError
        inside = path.relative_to(root)
        key = inside.as_posix()
        if any(part.startswith(".") for part in inside.parts) or not _can_be_key(key):
            continue
        try:
            status = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield key, (status.st_mtime_ns, status.st_size)


def _sorted_out(
    cursor: FileCursor, new: Mapping[str, Mark], *, now: float, min_age: float, max_files: int
) -> tuple[dict[str, Mark], dict[str, Mark]]:
    """The new files that are whole, and those to look at again; each oldest first, and not too many."""
    in_order = dict(sorted(new.items(), key=lambda file: place(*file)))
    whole = {path: mark for path, mark in in_order.items() if _is_whole(cursor, path, mark, now=now, min_age=min_age)}
    ready = dict(list(whole.items())[:max_files])
    waiting = [(path, mark) for path, mark in in_order.items() if path not in ready]
    return ready, dict(waiting[:_WAITING_REMEMBERED])


def _is_whole(cursor: FileCursor, path: str, mark: Mark, *, now: float, min_age: float) -> bool:
    if min_age == 0:
        return True
    mtime, size, met_at = cursor.waiting.get(path, (None, None, now))
    return (mtime, size) == mark and (now - mark[0] / 1e9 >= min_age or now - met_at >= min_age)


def _why_they_wait(cursor: FileCursor, new: Mapping[str, Mark], *, now: float, min_age: float) -> str:
    """What keeps new files from being taken; empty if there are none."""
    first = sum(cursor.waiting.get(path, ())[:2] != mark and now - mark[0] / 1e9 >= min_age for path, mark in new.items())
    told = (
        (first, "seen for the first time, taken at the next tick if unchanged"),
        (len(new) - first, "may still be written to"),
    )
    return ", ".join(f"{count} new {'file' if count == 1 else 'files'} {why}" for count, why in told if count)


def _run_requests(cursor: FileCursor, files: Mapping[str, Mark], *, is_partitioned: bool) -> Iterator[RunRequest]:
    if is_partitioned:
        for path, (mtime, size) in files.items():
            key = cursor.run_key(f"{path}|{mtime}|{size}")
            yield RunRequest(run_key=key, partition_key=path, tags={FILES: path})
    else:
        yield RunRequest(run_key=cursor.run_key(str(sorted(files.items()))), tags={FILES: _told(files)})


def _told(files: Mapping[str, Mark]) -> str:
    """Names of some files, and how many more there are."""
    names = ", ".join(list(files)[:_FILES_NAMED])
    return names if len(files) <= _FILES_NAMED else f"{names} and {len(files) - _FILES_NAMED} more"
