"""What one load looks like in Dagster: from report to materialization, from exception to failure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from dagster import (
    Failure,
    JsonMetadataValue,
    MarkdownMetadataValue,
    MetadataValue,
    NotebookMetadataValue,
    PathMetadataValue,
    RetryRequested,
    TableColumn,
    TableColumnConstraints,
    TableColumnLineage,
    TableSchema,
    TextMetadataValue,
    UrlMetadataValue,
)

from dlt_orchestrate.config.redaction import mask_chain, redact, redact_values
from dlt_orchestrate.dagster.lineage import source_field
from dlt_orchestrate.errors import (
    ConfigError,
    ConfigFieldMissingError,
    DeclarationError,
    InvalidArgumentsError,
    PipelineStepFailed,
)
from dlt_orchestrate.http.traffic import TrafficCounts
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.iso import parse_iso
from dlt_orchestrate.schema.table import LIST_INDEX, LOAD_ID, OVERFLOW_COLUMN, PARENT_ID, ROOT_ID, ROW_ID, Column

KEY_TAG, MERGE_KEY_TAG, CURSOR_TAG, FIELD_TAG = "primary_key", "merge_key", "cursor", "source_field"
"""Tags of columns."""

NEW_COLUMNS = "new_columns"
"""Metadata of what changed in the tables: a line for each column, as `orders.coupon: text`."""

NEVER_LOADED = "never loaded"
"""Data version of a table that no load has written to yet."""

_OWN_COLUMNS = {
    LOAD_ID: "The load that brought the row: load_id of _dlt_loads.",
    ROW_ID: "The row's own id; nested tables refer to it.",
    PARENT_ID: "The row of the table above that holds it: its _dlt_id.",
    ROOT_ID: "The row of the resource's own table that holds it: its _dlt_id.",
    LIST_INDEX: "Its place in the list, counted from 0.",
    OVERFLOW_COLUMN: "What no other column has room for, as JSON.",
}
"""What the columns are that records do not have."""

_REJECT_CAUSES_SHOWN = 5
_GREATEST_INTEGER = 2**63

MetadataEntry = (
    str | int | float | bool | dict[str, Any] | list[str] | TableSchema | TableColumnLineage | MetadataValue[Any]
)
"""The plain types that our metadata is made of: numbers, so that Dagster plots them, and text."""


def data_version(report: ResourceReport) -> str:
    """The version of what is loaded: it stays as it was if nothing came."""
    return report.load_id or NEVER_LOADED


def load_metadata(report: ResourceReport, pipeline: Pipeline) -> dict[str, MetadataEntry]:
    """Everything worth seeing of one resource's load; counts are there when they are 0, too: plots have no holes."""
    columns = column_schema(
        report.columns, pipeline.destination, primary_key=report.primary_key, cursor=report.cursor_column
    )
    return {
        "rows_loaded": report.rows_loaded,
        "rows_inserted": report.rows_inserted,
        "rows_updated": report.rows_updated,
        "rows_deleted": report.rows_deleted,
        "rows_rejected": report.rows_rejected,
        **_remarks(report),
        "dagster/row_count": report.total_rows,
        **_cursor(report),
        **_nested_tables(report),
        "pages": report.pages,
        "bytes": report.bytes,
        **{f"{step}_seconds": round(report.seconds.get(step, 0.0), 3) for step in ("extract", "normalize", "load")},
        **_http(report.http),
        **({"load_id": report.load_id} if report.load_id else {}),
        **({"load_ids": list(report.load_ids), "checkpoints": report.checkpoints} if report.checkpoints else {}),
        "repeated": report.repeated,
        **place(report.table, pipeline),
        **({"dagster/column_schema": columns} if report.columns else {}),
    }


def place(table: str, pipeline: Pipeline) -> dict[str, MetadataEntry]:
    """The full name of a table, and where the destination is, without credentials."""
    destination = pipeline.destination
    return {
        "dagster/table_name": destination.qualified_name(pipeline.dataset_name, table),
        "dagster/uri": destination.location,
    }


def of_table(metadata: Mapping[str, MetadataEntry]) -> dict[str, MetadataEntry]:
    """What of a load's metadata holds for the whole table, whichever partition was loaded."""
    return {name: value for name, value in metadata.items() if name.startswith("dagster/") or name.endswith("/row_count")}


def of_range(metadata: Mapping[str, MetadataEntry]) -> dict[str, MetadataEntry]:
    """The metadata of a load of several partitions, which Dagster shows on each: its counts are those of the range."""
    whole = of_table(metadata).keys() | {"repeated", "load_id", "load_ids", "warnings", "reject_causes", NEW_COLUMNS}
    of_whole = {name: value for name, value in metadata.items() if name in whole}
    return of_whole | {f"range/{name}": value for name, value in metadata.items() if name not in whole}


def column_schema(
    columns: Iterable[Column], destination: Destination, *, primary_key: Iterable[str] = (), cursor: str | None = None
) -> TableSchema:
    """The columns of a table as Dagster's catalog shows them: with the destination's types, keys and cursor as tags."""
    key = frozenset(primary_key)

    def shown(column: Column) -> TableColumn:
        tags = {
            KEY_TAG: column.primary_key or column.name in key,
            MERGE_KEY_TAG: column.merge_key,
            CURSOR_TAG: column.name == cursor,
        }
        return TableColumn(
            name=column.name,
            type=destination.type_name(column.type) if column.type else "unknown",
            description=column.description or _OWN_COLUMNS.get(column.name),
            constraints=TableColumnConstraints(nullable=column.nullable, unique=bool(column.hints.get("unique", False))),
            tags={
                **{name: "" for name, holds in tags.items() if holds},
                **({FIELD_TAG: field} if (field := source_field(column)) else {}),
            },
        )

    return TableSchema(columns=[shown(column) for column in columns])


def lag_seconds(newest: object, now: datetime) -> float | None:
    """How far a cursor lies behind; None if it does not hold moments."""
    if isinstance(newest, str):
        newest = parse_iso(newest) or _day(newest)
    if isinstance(newest, date) and not isinstance(newest, datetime):
        newest = datetime.combine(newest, time())
    if not isinstance(newest, datetime):
        return None
    return (now - (newest if newest.tzinfo else newest.replace(tzinfo=UTC))).total_seconds()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def failure(
    error: Exception, *, pipeline_name: str, resources: Iterable[str], further: Iterable[Exception] = ()
) -> Failure:
    """The failure of a step, with the facts that a failure sensor acts on.

    Retrying is pointless, and not allowed, where code or configuration must change first.

    Args:
        further: What else failed in the step.
    """
    cause = root_cause(error)
    causes = [cause, *map(root_cause, further)]
    is_retryable = not all(isinstance(cause, ConfigError | DeclarationError) for cause in causes)
    of_further = [name for other in further for name in failed_resources(other)]
    failed = tuple(dict.fromkeys((*(failed_resources(error) or resources), *of_further)))
    phase = error.step if isinstance(error, PipelineStepFailed) else "evaluate"
    return Failure(
        description="\n".join(
            _description(one, pipeline_name=pipeline_name, phase=phase, resources=failed) for one in (error, *further)
        ),
        metadata={
            "pipeline": pipeline_name,
            "resource": ", ".join(failed),
            "phase": phase,
            "error": type(cause).__name__,
            "retryable": is_retryable,
            **({"missing": ", ".join(missing)} if (missing := _missing(cause)) else {}),
        },
        allow_retries=is_retryable,
    )


def failed_resources(error: Exception) -> tuple[str, ...]:
    """The resources that an error names as failed; () if it concerns the whole run."""
    return error.resources if isinstance(error, PipelineStepFailed) else ()


def own_word(error: Failure | RetryRequested) -> Failure | RetryRequested:
    """What a source raised to say itself how to fail, or whether to try again; with secrets masked, also in metadata."""
    masked = mask_chain(error)
    if isinstance(masked, Failure):
        masked.metadata = {name: _masked_metadata(value) for name, value in masked.metadata.items()}
    return masked


def _masked_metadata(value: MetadataValue[Any]) -> MetadataValue[Any]:
    """A metadata value without secrets; what cannot be looked through is shown as masked text, if it holds one."""
    match value:
        case (
            TextMetadataValue()
            | UrlMetadataValue()
            | PathMetadataValue()
            | NotebookMetadataValue()
            | MarkdownMetadataValue()
        ):
            held = redact_values(value.value)
            return value if held is value.value else type(value)(held)
        case JsonMetadataValue():
            held = redact_values(value.value)
            return value if held is value.value else JsonMetadataValue(held)
        case _:
            shown = str(value)
            return value if redact(shown) == shown else MetadataValue.text(redact(shown))


def shown_cause(error: BaseException) -> BaseException | None:
    """The exception with secrets masked, its causes included; None if one of them cannot be masked."""
    link: BaseException | None = error
    while link is not None:
        if redact(str(link)) != str(link):
            link.args = (redact(str(link)),)
        if redact(str(link)) != str(link):
            return None
        link = link.__cause__ or link.__context__
    return error


def root_cause(error: BaseException) -> BaseException:
    """The exception that a `PipelineStepFailed` wraps, or the exception itself."""
    return root_cause(error.exception) if isinstance(error, PipelineStepFailed) else error


def _nested_tables(report: ResourceReport) -> Mapping[str, int]:
    nested = {name: counts for name, counts in report.tables.items() if name != report.table}
    return {
        **{f"nested/{name}/rows_loaded": counts.loaded for name, counts in nested.items()},
        **{f"nested/{name}/row_count": counts.total for name, counts in nested.items()},
    }


def _http(traffic: TrafficCounts | None) -> Mapping[str, MetadataEntry]:
    """What was asked for over HTTP, if anything was."""
    if traffic is None:
        return {}
    return {
        "http_requests": traffic.requests,
        "http_retries": traffic.retries,
        "http_wait_seconds": round(traffic.wait_seconds, 3),
        "http_answer_seconds": round(traffic.answer_seconds, 3),
        "http_bytes": traffic.bytes_received,
        "http_statuses": {str(status): count for status, count in traffic.statuses.items()},
    }


def _cursor(report: ResourceReport) -> Mapping[str, MetadataEntry]:
    """Where the cursor stood and stands: numbers stay numbers, and what is left to the present is told in seconds."""
    if report.cursor_path is None:
        return {}
    name = f"cursor/{report.cursor_path}"
    bounds = {"before": report.cursor_before, "after": report.cursor_after}
    lag = lag_seconds(report.cursor_after, datetime.now(UTC))
    return {
        **{f"{name}/{bound}": _plain(value) for bound, value in bounds.items() if value is not None},
        **({f"{name}/lag_seconds": round(lag, 1)} if lag is not None else {}),
    }


def new_columns_of(lines: str) -> dict[str, dict[str, str]]:
    """The columns that metadata names, with their types, by table.

    >>> new_columns_of("orders.coupon: text")
    {'orders': {'coupon': 'text'}}
    """
    found: dict[str, dict[str, str]] = {}
    for line in lines.splitlines():
        place, _, kind = line.rpartition(": ")
        table, _, column = place.partition(".")
        found.setdefault(table, {})[column] = kind
    return found


def _plain(value: object) -> MetadataEntry:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _GREATEST_INTEGER
    return value if is_number else str(value)  # type: ignore[return-value]


def _remarks(report: ResourceReport) -> Mapping[str, str]:
    changes = [f"{table}.{name}: {kind}" for table, found in report.new_columns.items() for name, kind in found.items()]
    causes = dict.fromkeys(f"{reject.column or 'row'}: {reject.cause}" for reject in report.rejects)
    return {
        **({"warnings": "\n".join(report.warnings)} if report.warnings else {}),
        **({"reject_causes": "\n".join(list(causes)[:_REJECT_CAUSES_SHOWN])} if causes else {}),
        **({NEW_COLUMNS: "\n".join(changes)} if changes else {}),
    }


def _missing(cause: BaseException) -> tuple[str, ...]:
    """Names of the values that the configuration lacks."""
    match cause:
        case ConfigFieldMissingError(fields=fields):
            return fields
        case InvalidArgumentsError(missing=missing):
            return missing
        case _:
            return ()


def _description(error: Exception, *, pipeline_name: str, phase: str, resources: Iterable[str]) -> str:
    if isinstance(error, PipelineStepFailed):
        return redact(str(error))
    names = ", ".join(map(repr, resources))
    return redact(f"Pipeline {pipeline_name!r}, step {phase!r}, resource {names} failed. {type(error).__name__}: {error}")
