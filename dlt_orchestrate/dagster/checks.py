"""Checks of what was loaded: in the step of the load, or for themselves, on a schedule of their own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from statistics import median
from typing import Any, ClassVar, Literal, Protocol, get_args

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    asset_check,
)

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.dagster.bindings import binding_of
from dlt_orchestrate.dagster.events import CURSOR_TAG, KEY_TAG, NEW_COLUMNS, lag_seconds, new_columns_of
from dlt_orchestrate.dagster.naming import RESOURCE
from dlt_orchestrate.dagster.spoken import spoken_count, spoken_span
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline

CheckName = Literal[
    "schema_contract", "row_count_anomaly", "primary_key_unique", "not_null", "data_freshness", "few_rejects"
]
WARN, ERROR = AssetCheckSeverity.WARN, AssetCheckSeverity.ERROR

_VALID_TO = "_dlt_valid_to"
_SHOWN = 20
_HISTORY = 50


@dataclass(frozen=True)
class Loaded:
    """What checks look at: the latest load of an asset, its table, and the loads before.

    Attributes:
        table: The root table; `columns` its columns, `primary_key` and `cursor_column` some of these.
        rows_loaded: Rows by partition; one number without partitions.
        new_columns: Columns that the load added or widened, with their types, by table.
        latest_id: Where the load stands in the event log; None if it is not there yet.
    """

    key: AssetKey
    pipeline: Pipeline
    instance: DagsterInstance
    table: str
    columns: Sequence[str]
    required: Sequence[str] = ()
    primary_key: Sequence[str] = ()
    cursor_column: str | None = None
    cursor_after: object = None
    rows_loaded: Sequence[int] = (0,)
    rows_rejected: int = 0
    new_columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    latest_id: int | None = None

    @cached_property
    def earlier_rows_loaded(self) -> list[int]:
        """Rows of earlier loads, the newest first; loads of nothing count."""
        records = self.instance.fetch_materializations(self.key, limit=_HISTORY).records
        found = (
            record.asset_materialization.metadata.get("rows_loaded")
            for record in records
            if record.asset_materialization is not None and record.storage_id != self.latest_id
        )
        return [int(entry.value) for entry in found if entry is not None and isinstance(entry.value, int)]

    def aggregate(self, *wanted: str, where: str = "true") -> list[Any]:
        """Some aggregates over the root table, in one query; {quoted} is made of the names in braces."""
        with self.pipeline.destination.reader(self.pipeline.dataset_name) as reader:
            quoted = {name: reader.quoted(name) for name in self.columns}
            chosen = ", ".join(_with_names(expression, quoted) for expression in wanted)
            rows = _with_names(where, quoted)
            found = reader.query(f"SELECT {chosen} FROM {reader.qualified(self.table)} WHERE {rows}")  # noqa: S608 - quoted
        return [found.column(number)[0].as_py() for number in range(found.num_columns)]


class Check(Protocol):
    """One check of one asset."""

    @property
    def name(self) -> str:
        """The check's name, one of its kind for each asset."""

    @property
    def description(self) -> str:
        """What it promises."""

    @property
    def blocking(self) -> bool:
        """Whether what is downstream does not run in the same run if it fails."""

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        """Look at a load."""


@dataclass(frozen=True)
class SchemaContract:
    """The table kept its columns and their types.

    A load that breaks its contract fails before its commit, and this check with it, as an error. Where the contract lets
    the table evolve, columns that were added or widened are a warning.
    """

    name: ClassVar[str] = "schema_contract"
    description: ClassVar[str] = "Columns and types are what they were; a load that breaks its contract is not committed."
    blocking: ClassVar[bool] = True

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        changes = [f"{table}.{name}: {kind}" for table, found in loaded.new_columns.items() for name, kind in found.items()]
        said = "New or wider columns: " + ", ".join(changes[:_SHOWN]) if changes else None
        return _result(self, not changes, WARN, said, changed_columns=len(changes))

    def broken(self, key: AssetKey, error: BaseException) -> AssetCheckResult:
        """The result for a load that a contract has stopped."""
        return AssetCheckResult(
            passed=False, asset_key=key, check_name=self.name, severity=ERROR, description=redact(str(error))
        )


@dataclass(frozen=True)
class RowCountAnomaly:
    """A load brings about as many rows as those before: the median, give or take `k` median deviations.

    Attributes:
        k: How many median absolute deviations from the median are usual; a deviation below one row counts as one.
        min_history: Loads that must be known before anything is said.
    """

    k: float = 5.0
    min_history: int = 5
    name: ClassVar[str] = "row_count_anomaly"
    description: ClassVar[str] = "A load brings about as many rows as those before."
    blocking: ClassVar[bool] = False

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        earlier = loaded.earlier_rows_loaded
        if len(earlier) < self.min_history:
            few = f"{spoken_count(len(earlier), 'earlier load')}: too few to tell, {self.min_history} are needed."
            return _result(self, True, WARN, few, earlier_loads=len(earlier))
        middle = median(earlier)
        tolerance = self.k * max(median(abs(rows - middle) for rows in earlier), 1.0)
        least, most = max(middle - tolerance, 0.0), middle + tolerance
        odd = [rows for rows in loaded.rows_loaded if not least <= rows <= most]
        said = f"{spoken_count(odd[0], 'row')}; between {least:,.12g} and {most:,.12g} are usual." if odd else None
        return _result(
            self,
            not odd,
            WARN,
            said,
            rows_loaded=loaded.rows_loaded[-1],
            usual_least=least,
            usual_most=most,
            earlier_loads=len(earlier),
        )


@dataclass(frozen=True)
class PrimaryKeyUnique:
    """No two rows have the same primary key; of a table of versions, no two that hold now."""

    name: ClassVar[str] = "primary_key_unique"
    description: ClassVar[str] = "No two rows have the same primary key."
    blocking: ClassVar[bool] = False

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        if not loaded.primary_key or not loaded.columns:
            return _result(self, True, ERROR, "There is no primary key, or no table yet.")
        key = ", ".join(f"{{{name}}}" for name in loaded.primary_key)
        holds = f"{{{_VALID_TO}}} IS NULL" if _VALID_TO in loaded.columns else "true"
        distinct = f"count(DISTINCT ({key}))" if len(loaded.primary_key) == 1 else f"count(DISTINCT ROW({key}))"
        rows, keys = loaded.aggregate("count(*)", distinct, where=holds)
        repeated = rows - keys
        those = f"{spoken_count(repeated, 'row')} with the primary key ({', '.join(loaded.primary_key)}) of another one."
        said = those if repeated else None
        return _result(self, not repeated, ERROR, said, rows=rows, repeated=repeated)


@dataclass(frozen=True)
class NotNull:
    """Some columns hold a value in every row: those that are declared so, or those that are named."""

    columns: tuple[str, ...] = ()
    name: ClassVar[str] = "not_null"
    description: ClassVar[str] = "Columns that must not be null hold a value in every row."
    blocking: ClassVar[bool] = False

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        if not loaded.columns:
            return _result(self, True, ERROR, "There is no table yet.")
        wanted = self.columns or tuple(loaded.required)
        missing = [name for name in wanted if name not in loaded.columns]
        there = [name for name in wanted if name in loaded.columns]
        counts = loaded.aggregate(*(f"count(*) - count({{{name}}})" for name in there)) if there else []
        nulls = {name: count for name, count in zip(there, counts, strict=True) if count}
        problems = [
            *(f"{name}: {spoken_count(count, 'null')}" for name, count in nulls.items()),
            *(f"{name}: no column" for name in missing),
        ]
        said = "; ".join(problems[:_SHOWN]) or None
        return _result(self, not problems, ERROR, said, columns=len(wanted), nulls=sum(nulls.values()))


@dataclass(frozen=True)
class DataFreshness:
    """The newest row is not older than `max_lag`, told by its cursor; another thing than when the last run was."""

    max_lag: timedelta = timedelta(days=1)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    name: ClassVar[str] = "data_freshness"
    description: ClassVar[str] = "The newest row is new enough, told by its cursor."
    blocking: ClassVar[bool] = False

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        newest = loaded.cursor_after
        if loaded.cursor_column is not None and loaded.columns:
            [newest] = loaded.aggregate(f"max({{{loaded.cursor_column}}})")
        lag = lag_seconds(newest, self.now())
        if lag is None:
            return _result(self, True, WARN, "There is no cursor that holds moments, or no row yet.")
        limit = self.max_lag.total_seconds()
        late = f"The newest row is of {newest}, {spoken_span(lag)} ago; {spoken_span(limit)} are allowed."
        said = late if lag > limit else None
        return _result(self, lag <= limit, WARN, said, lag_seconds=round(lag, 1), allowed_seconds=limit)


@dataclass(frozen=True)
class FewRejects:
    """Not more than `rows` rows of a load were rejected."""

    rows: int = 0
    name: ClassVar[str] = "few_rejects"
    description: ClassVar[str] = "Few or no rows of a load were rejected."
    blocking: ClassVar[bool] = False

    def evaluate(self, loaded: Loaded) -> AssetCheckResult:
        passed = loaded.rows_rejected <= self.rows
        rejected = f"{spoken_count(loaded.rows_rejected, 'row')} rejected: see table _dlt_rejects, and reject_causes."
        said = None if passed else rejected
        return _result(self, passed, WARN, said, rows_rejected=loaded.rows_rejected, allowed=self.rows)


_BY_NAME: Mapping[str, Callable[[], Check]] = {
    kind.name: kind for kind in (SchemaContract, RowCountAnomaly, PrimaryKeyUnique, NotNull, DataFreshness, FewRejects)
}


def to_checks(given: Iterable[CheckName | Check], *, over: Sequence[Check] = ()) -> tuple[Check, ...]:
    """Checks of names and of checks.

    Args:
        over: Checks that go before those of the same name.

    Raises:
        DeclarationError: There is no check of that name, or two of one.
    """
    found: list[Check] = []
    for item in given:
        if isinstance(item, str) and item not in _BY_NAME:
            known = ", ".join(map(repr, get_args(CheckName)))
            near = f"{told} " if (told := likely([item], get_args(CheckName))) else ""
            raise DeclarationError(f"checks: {item!r} is not known. {near}Known are: {known}, or pass a check of your own.")
        found.append(_BY_NAME[item]() if isinstance(item, str) else item)
        if sum(check.name == found[-1].name for check in found) > 1:
            raise DeclarationError(f"checks: {found[-1].name!r} is there twice.")
    named = {check.name for check in over}
    return (*(check for check in found if check.name not in named), *over)


def check_specs(checks: Iterable[Check], key: AssetKey) -> list[AssetCheckSpec]:
    """The specs of an asset's checks."""
    return [AssetCheckSpec(c.name, asset=key, blocking=c.blocking, description=c.description) for c in checks]


def loaded_of_report(
    report: ResourceReport, rows_loaded: Sequence[int], *, key: AssetKey, pipeline: Pipeline, instance: DagsterInstance
) -> Loaded:
    """What checks look at, of a load that has just been committed."""
    names = [column.name for column in report.columns if column.type is not None]
    keys = [c.name for c in report.columns if c.primary_key or c.name in report.primary_key]
    return Loaded(
        key=key,
        pipeline=pipeline,
        instance=instance,
        table=report.table,
        columns=names,
        required=[column.name for column in report.columns if not column.nullable and column.type is not None],
        primary_key=keys,
        cursor_column=report.cursor_column,
        cursor_after=report.cursor_after,
        rows_loaded=rows_loaded,
        rows_rejected=report.rows_rejected,
        new_columns=report.new_columns,
    )


def build_schema_contract_checks(assets: Iterable[AssetsDefinition]) -> list[AssetChecksDefinition]:
    """A check for each asset, of its latest materialization: did columns come, or become wider?"""
    return _build(SchemaContract(), assets)


def build_row_count_anomaly_checks(
    assets: Iterable[AssetsDefinition], *, k: float = 5.0, min_history: int = 5
) -> list[AssetChecksDefinition]:
    """A check for each asset, of its latest materialization; arguments as in `RowCountAnomaly`."""
    return _build(RowCountAnomaly(k, min_history), assets)


def build_primary_key_checks(assets: Iterable[AssetsDefinition]) -> list[AssetChecksDefinition]:
    """A check for each asset: one query over its table."""
    return _build(PrimaryKeyUnique(), assets)


def build_not_null_checks(
    assets: Iterable[AssetsDefinition], *, columns: Sequence[str] = ()
) -> list[AssetChecksDefinition]:
    """A check for each asset: one query over its table, for the columns that are declared so or named here."""
    return _build(NotNull(tuple(columns)), assets)


def build_data_freshness_checks(
    assets: Iterable[AssetsDefinition], *, max_lag: timedelta = timedelta(days=1)
) -> list[AssetChecksDefinition]:
    """A check for each asset: one query for the newest cursor of its table."""
    return _build(DataFreshness(max_lag), assets)


def build_reject_checks(assets: Iterable[AssetsDefinition], *, rows: int = 0) -> list[AssetChecksDefinition]:
    """A check for each asset, of its latest materialization."""
    return _build(FewRejects(rows), assets)


def _build(check: Check, assets: Iterable[AssetsDefinition]) -> list[AssetChecksDefinition]:
    return [_definition(check, key, pipeline) for definition in assets for key, pipeline in _ingested(definition)]


def _ingested(definition: AssetsDefinition) -> Iterator[tuple[AssetKey, Pipeline]]:
    """The assets of resources, with the pipeline that loads them.

    Raises:
        DeclarationError: Something else than this package made the assets.
    """
    binding = binding_of(definition.op)
    if binding is None:
        raise DeclarationError(
            f"Op {definition.op.name!r} was not made with ingest_assets or @dlt_assets, so its table is not known. Pass "
            "what these returned."
        )
    for spec in definition.specs:
        if RESOURCE in spec.metadata:
            yield spec.key, binding.pipeline


def _definition(check: Check, key: AssetKey, pipeline: Pipeline) -> AssetChecksDefinition:
    @asset_check(asset=key, name=check.name, description=check.description, blocking=check.blocking)
    def evaluate(context: AssetCheckExecutionContext) -> AssetCheckResult:
        loaded = _latest(key, pipeline, context.instance)
        if loaded is None:
            return AssetCheckResult(passed=True, description="Nothing has been materialized yet.")
        return check.evaluate(loaded)

    return evaluate


def _latest(key: AssetKey, pipeline: Pipeline, instance: DagsterInstance) -> Loaded | None:
    """What checks look at, of the latest materialization."""
    records = instance.fetch_materializations(key, limit=1).records
    event = records[0].asset_materialization if records else None
    if event is None:
        return None
    metadata: dict[str, Any] = {name: entry.value for name, entry in event.metadata.items()}
    dataset = pipeline.destination.qualified_name(pipeline.dataset_name, "")
    schema = metadata.get("dagster/column_schema")
    columns = schema.columns if schema is not None else []
    cursors = [value for name, value in metadata.items() if name.startswith("cursor/") and name.endswith("/after")]
    return Loaded(
        key=key,
        pipeline=pipeline,
        instance=instance,
        table=str(metadata["dagster/table_name"]).removeprefix(dataset),
        columns=[column.name for column in columns],
        required=[column.name for column in columns if not column.constraints.nullable],
        primary_key=[column.name for column in columns if KEY_TAG in column.tags],
        cursor_column=next((column.name for column in columns if CURSOR_TAG in column.tags), None),
        cursor_after=cursors[0] if cursors else None,
        rows_loaded=[int(metadata.get("rows_loaded", 0))],
        rows_rejected=int(metadata.get("rows_rejected", 0)),
        new_columns=new_columns_of(metadata.get(NEW_COLUMNS, "")),
        latest_id=records[0].storage_id,
    )


def _result(
    check: Check, passed: bool, severity: AssetCheckSeverity, description: str | None, **numbers: float
) -> AssetCheckResult:
    return AssetCheckResult(
        passed=passed, check_name=check.name, severity=severity, description=description, metadata=numbers
    )


def _with_names(expression: str, quoted: Mapping[str, str]) -> str:
    """An expression with each name in braces replaced by itself, quoted."""
    for name, text in quoted.items():
        expression = expression.replace(f"{{{name}}}", text)
    return expression
