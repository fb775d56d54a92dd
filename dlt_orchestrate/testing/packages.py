"""Load packages made from plain records, for tests of destinations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dlt_orchestrate.flow.batch import SpooledTable, TableKey
from dlt_orchestrate.flow.package import DesiredTable, LoadPackage, Reject, Reset, ResourceLoad, StateChange
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.load.scratch import Scratch
from dlt_orchestrate.load.spool import Spool
from dlt_orchestrate.normalize.normalizer import Normalizer
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION
from dlt_orchestrate.schema.table import TableHints
from dlt_orchestrate.state.commits import UnitKey, Window, new_load_id

PIPELINE = "conformance"
DATASET = "conformance_data"
SOURCE = "shop"

_prefixes = itertools.count()
_moments = itertools.count()
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def resource_load(
    resource: str,
    rows: Sequence[Any],
    *,
    hints: TableHints | None = None,
    based_on: int = 0,
    table: str | None = None,
    state: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
    idempotency_key: str | None = None,
    window: Window | None = None,
    cursor_path: str | None = None,
    rejects: Sequence[Reject] = (),
    pages: Iterable[Sequence[Any]] | None = None,
    is_complete: bool = True,
    replaces_partition: bool = False,
    begins_anew: bool = False,
    capabilities: Capabilities | None = None,
) -> ResourceLoad:
    """What a resource contributes that yields these rows, normalized as in a real run for such a destination."""
    hints = hints or TableHints()
    normalizer = Normalizer(
        resource=resource,
        hints=hints,
        capabilities=capabilities or Capabilities(),
        id_prefix=lambda: f"{next(_prefixes):08d}",
    )
    keyed, keyless = Spool(Scratch(Path("unused"))), Spool(Scratch(Path("unused")))
    found = [part for page in pages or [rows] for part in normalizer.add(Page(table or resource, page))]
    for part in (*found, *normalizer.finish()):
        (keyless if part.keyless else keyed).add(part.batch)
    by_content = normalizer.keyed_count == 0 and normalizer.keyless_count > 0
    tables = (keyless if by_content else keyed).finish() or (SpooledTable(TableKey(table or resource)),)
    return ResourceLoad(
        unit=UnitKey(PIPELINE, SOURCE, resource, window),
        base_commit=based_on,
        tables=tuple(
            DesiredTable(
                spooled,
                hints=hints if not spooled.key.path else None,
                merges_by_content=by_content and not spooled.key.path,
            )
            for spooled in tables
        ),
        state=StateChange(*state) if state else None,
        rejects=tuple(rejects),
        rows_extracted=len(rows),
        is_complete=is_complete,
        replaces_partition=replaces_partition,
        begins_anew=begins_anew,
        cursor_path=cursor_path,
        idempotency_key=idempotency_key,
    )


def package(
    *loads: ResourceLoad,
    source_state: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
    fingerprints: Mapping[str, Mapping[str, str]] | None = None,
    dataset: str = DATASET,
    naming: str = DEFAULT_CONVENTION,
    resets: Sequence[Reset] = (),
) -> LoadPackage:
    """A package of these contributions, made one second after the one before.

    Args:
        naming: The naming convention of the tables, if they are new.
    """
    created_at = _EPOCH + timedelta(seconds=next(_moments))
    return LoadPackage(
        load_id=new_load_id(created_at),
        pipeline_name=PIPELINE,
        dataset_name=dataset,
        created_at=created_at,
        host="conformance",
        loads=loads,
        source_states={SOURCE: StateChange(*source_state)} if source_state else {},
        fingerprints=fingerprints or {},
        namings={SOURCE: naming},
        destination_type="conformance",
        resets=tuple(resets),
    )
