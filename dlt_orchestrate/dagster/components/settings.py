"""What a component may be told in YAML, and how wrong keys are answered."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

from dagster import Model
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.config.time_zones import expect_time_zone

_TEXT, _FIELDS = "(text)", "(fields)"
"""Which of its two forms a value has; never shown."""

_form = Discriminator(lambda value: _TEXT if isinstance(value, str) else _FIELDS)
Text = Annotated[str, Tag(_TEXT)]
Template = Annotated[str, Tag(_TEXT)]
"""A template of Dagster's, such as `{{ dg.AutomationCondition.eager() }}`."""

Date = Annotated[str, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value)]


class Settings(Model):
    """Fields of a component; a key that is none of them is an error with its path and what was probably meant."""

    @model_validator(mode="wrap")
    @classmethod
    def _answer_wrong_keys(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        try:
            return handler(value)  # type: ignore[no-any-return]
        except ValidationError as error:
            answered = [_answered(found, cls.model_fields) for found in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, answered) from None


def _answered(found: Any, fields: Iterable[str]) -> InitErrorDetails:
    place = tuple(part for part in found["loc"] if part not in (_TEXT, _FIELDS))
    if found["type"] == "extra_forbidden" and len(place) == 1:
        # A custom type of error would not survive Dagster, which puts the line of the file beside each.
        told = ValueError(f"{place[0]!r} is no key here. {meant(str(place[0]), fields)}")
        return InitErrorDetails(type="value_error", loc=place, input=None, ctx={"error": told})
    shown = None if isinstance(found["input"], Mapping | list) else found["input"]  # which may hold a password
    return InitErrorDetails(type=found["type"], loc=place, input=shown, ctx=found.get("ctx", {}))


class DestinationSettings(Settings):
    """Where rows go. Values may be `{secret: NAME}`, which is read in the step."""

    type: Literal["duckdb", "postgres"] = Field(description="The kind of the destination.")
    path: Any = Field(default=None, description="duckdb: path of the file; a relative one lies in the project's folder.")
    memory_limit: Any = Field(default=None, description="duckdb: its memory limit, such as 2GB.")
    threads: Any = Field(default=None, description="duckdb: its threads.")
    credentials: Any = Field(default=None, description="postgres: a URL, as {secret: NAME}.")
    host: Any = Field(default=None, description="postgres: the server.")
    port: Any = None
    username: Any = None
    password: Any = Field(default=None, description="postgres: as {secret: NAME}.")
    database: Any = Field(default=None, description="postgres: the database.")
    sslmode: Any = None
    lock_timeout_seconds: Any = None

    @model_validator(mode="after")
    def _expect_fields_of_type(self) -> Self:
        of_duckdb, of_postgres = {"path", "memory_limit", "threads"}, {*POSTGRES_ADDRESS, "credentials"}
        foreign = sorted(self.model_fields_set & (of_postgres if self.type == "duckdb" else of_duckdb))
        if foreign:
            raise ValueError(f"a destination of type {self.type} has no {', '.join(map(repr, foreign))}.")
        if self.type == "duckdb" and self.path is None:
            raise ValueError("a destination of type duckdb needs 'path', such as data/raw.duckdb.")
        if self.type == "postgres" and not self.model_fields_set & of_postgres:
            raise ValueError(
                "a destination of type postgres needs 'credentials', such as {secret: POSTGRES_URL}, or 'host'."
            )
        if self.credentials is not None and self.model_fields_set & set(POSTGRES_ADDRESS):
            raise ValueError("give either 'credentials' or host, database and so on, not both.")
        return self


POSTGRES_ADDRESS = ("host", "port", "username", "password", "database", "sslmode")


def _time_zone(name: str) -> str:
    if "{{" not in name:
        expect_time_zone(name)
    return name


TimeZone = Annotated[str, AfterValidator(_time_zone)]
"""The name of a time zone, or a template that gives one."""


class PartitionsSettings(Settings):
    """The partitions of all assets of the load."""

    type: Literal["hourly", "daily", "weekly", "monthly", "static", "dynamic"]
    start_date: Date | None = Field(default=None, description="The first window, such as 2026-01-01.")
    end_date: Date | None = None
    timezone: TimeZone | None = None
    end_offset: int = 0
    keys: list[str] | None = Field(default=None, description="static: the keys.")
    name: str | None = Field(default=None, description="dynamic: the name under which the instance keeps the keys.")

    @model_validator(mode="after")
    def _expect_fields_of_type(self) -> Self:
        needed = {"static": "keys", "dynamic": "name"}.get(self.type, "start_date")
        if getattr(self, needed) is None:
            raise ValueError(f"partitions of type {self.type} need {needed!r}.")
        allowed = {"static": {"keys"}, "dynamic": {"name"}}.get(
            self.type, {"start_date", "end_date", "timezone", "end_offset"}
        )
        if foreign := sorted(self.model_fields_set - allowed - {"type"}):
            raise ValueError(f"partitions of type {self.type} have no {', '.join(map(repr, foreign))}.")
        return self


Partitions = Annotated[Template | Annotated[PartitionsSettings, Tag(_FIELDS)], _form]


class ScheduleSettings(Settings):
    """When all assets are loaded."""

    cron: str = Field(description="Five cron fields, or @hourly and so on.")
    timezone: TimeZone | None = None
    name: str | None = Field(default=None, description="Name of the schedule; that of the load with _schedule by default.")
    is_running: bool = Field(default=False, description="Whether it runs without being switched on.")


class RetrySettings(Settings):
    """How often a failed step is tried again."""

    max_retries: int = Field(default=1, ge=0)
    delay_seconds: float | None = Field(default=None, ge=0)
    backoff: Literal["linear", "exponential"] | None = None
    jitter: Literal["full", "plus_minus"] | None = None


class BackfillSettings(Settings):
    """How many runs a range of partitions takes."""

    type: Literal["single_run", "multi_run"]
    max_partitions_per_run: int = Field(default=1, ge=1, description="multi_run: partitions of one run.")


class OpSettings(Settings):
    """What Dagster may be told of a step."""

    pool: str | None = Field(default=None, description="A pool that limits how many such steps run at once.")
    retry: RetrySettings | None = None
    tags: dict[str, Any] = Field(default_factory=dict)
    backfill_policy: BackfillSettings | None = None


class FreshnessSettings(Settings):
    """How old the last load may be, such as 24h."""

    fail: str
    warn: str | None = None


class CronSettings(Settings):
    """Dagster's automation materializes the asset at each tick."""

    cron: str
    timezone: TimeZone = "UTC"


Automation = Annotated[Text | Annotated[CronSettings, Tag(_FIELDS)], _form]
Freshness = Annotated[Text | Annotated[FreshnessSettings, Tag(_FIELDS)], _form]


class SensorSettings(Settings):
    """What launches a run when something has changed."""

    type: Literal["http", "files", "watermark"]
    name: str | None = Field(default=None, description="Name of the sensor; that of the load with the type by default.")
    resources: list[str] | None = Field(
        default=None, description="The resources to load, by name or pattern; all by default."
    )
    url: Any = Field(default=None, description="http: the address that is asked; may be {env: NAME}.")
    headers: dict[str, Any] = Field(default_factory=dict, description="http: sent along; secrets as {secret: NAME}.")
    bucket_url: Any = Field(
        default=None, description="files: a path in the project's folder, or an address such as s3://bucket/prefix."
    )
    file_glob: str = Field(default="*", description="files: which files there, such as **/*.csv.")
    credentials: Any = Field(default=None, description="files: of the store, by name; secrets as {secret: NAME}.")
    min_age_seconds: float = Field(default=10, ge=0, description="files: how long a file was not written to.")
    max_files: int = Field(default=100, ge=1, description="files: the most that one tick launches runs for.")
    query: str | None = Field(default=None, description="watermark: gives one value, such as select max(updated_at).")
    connect: str | None = Field(
        default=None,
        description="watermark: import path of a function that connects to where to ask; the dataset by default.",
    )
    interval_seconds: int = Field(default=60, ge=1, description="The least time between two looks.")
    is_running: bool = Field(default=False, description="Whether it runs without being switched on.")

    own_type: ClassVar[str | None] = None
    """The type whose sensors may leave out where to look: then that is what the component itself reads."""

    @property
    def looks_at_own(self) -> bool:
        """Whether it looks at what the component reads."""
        return self.type == self.own_type and getattr(self, _OF_SENSOR[self.type][0]) is None

    @model_validator(mode="after")
    def _expect_fields_of_type(self) -> Self:
        needed, *others = _OF_SENSOR[self.type]
        if getattr(self, needed) is None and self.type != self.own_type:
            raise ValueError(f"sensors of type {self.type} need {needed!r}.")
        if self.looks_at_own and (wrong := sorted(self.model_fields_set & {*others} & _OF_A_PLACE)):
            raise ValueError(f"{', '.join(map(repr, wrong))} without {needed!r}, which looks at what is loaded here.")
        foreign = {name for kind, names in _OF_SENSOR.items() if kind != self.type for name in names}
        if wrong := sorted(self.model_fields_set & foreign):
            raise ValueError(f"sensors of type {self.type} have no {', '.join(map(repr, wrong))}.")
        return self


_OF_SENSOR = {
    "http": ("url", "headers"),
    "files": ("bucket_url", "file_glob", "credentials", "min_age_seconds", "max_files"),
    "watermark": ("query", "connect"),
}
"""What each type of sensor is told, first what it needs."""
_OF_A_PLACE = {"file_glob", "credentials", "connect"}


class UpstreamSettings(Settings):
    """The asset of the system that the source reads."""

    key: str | None = Field(default=None, description="The asset key, with slashes; source/<name> by default.")
    description: str | None = None
    group_name: str | None = None
    owners: list[str] | None = None
    tags: dict[str, str] | None = None
    kinds: list[str] | None = None
    url: str | None = Field(default=None, description="An address that the asset links to.")


Checks = list[str | dict[str, dict[str, Any]]]


class AssetSettings(Settings):
    """How assets are shown and kept fresh."""

    owners: list[str] | None = Field(default=None, description="E-mail addresses, or teams as team:data.")
    tags: dict[str, Any] | None = None
    kinds: list[str] | None = None
    metadata: dict[str, Any] | None = None
    automation: Automation | None = Field(
        default=None, description="eager, on_missing, {cron: ...}, or a template that gives a condition."
    )
    freshness: Freshness | None = Field(default=None, description="The age from which on an asset is stale, such as 24h.")


class ResourceSettings(AssetSettings):
    """What is different for one resource."""

    key: str | None = Field(default=None, description="The asset key, with slashes.")
    group: str | None = None
    description: str | None = None
    deps: list[str] | None = Field(default=None, description="Asset keys of what lies upstream.")
    op: OpSettings | None = Field(default=None, description="Goes before what is said of all; needs a step of its own.")
    partitions: Partitions | None = Field(default=None, description="Go before those of all.")
    checks: Checks = Field(
        default_factory=list, description="Beside those of all, or in the place of one of the same name."
    )
    nested: list[str] = Field(default_factory=list, description="Nested lists that become assets, such as lines.taxes.")


class TranslationSettings(Settings):
    """How resources become assets; texts may hold {{ resource.name }}."""

    key: str | None = Field(default=None, description="The asset key, such as raw/{{ resource.name }}.")
    key_prefix: str | list[str] | None = None
    group_name: str | None = None
    description: str | None = None
    deps: list[str] | None = None
    owners: list[str] | None = None
    tags: dict[str, Any] | None = None
    kinds: list[str] | None = None
    metadata: dict[str, Any] | None = None
    automation_condition: str | None = None


class TargetSettings(AssetSettings):
    """Where a source goes, and how its resources become assets."""

    destination: Annotated[Text | Annotated[DestinationSettings, Tag(_FIELDS)], _form] | None = Field(
        default=None, description="Where rows go: the name of a configured destination, or its type and fields."
    )
    dataset: str | None = Field(default=None, description="The dataset; the name of the pipeline with _dataset by default.")
    pipeline: str | None = Field(
        default=None,
        description="The name of the pipeline, by which its cursors are found; that of the source by default. Or the "
        "import path of a pipeline, which then says destination and dataset.",
    )
    name: str | None = Field(
        default=None, description="First part of the names of the steps; the source's name by default."
    )
    group: str | None = Field(default=None, description="The group of the assets.")
    select: list[str] | None = Field(default=None, description="Names of the resources to load; all by default.")
    resource_names: list[str] | None = Field(
        default=None, description="Names of the resources, for sources that cannot tell them without their configuration."
    )
    isolation: Literal["resource", "source"] | dict[str, list[str]] = Field(
        default="resource", description="A step for each resource, one for all, or groups of resources by name."
    )
    partitions: Partitions | None = None
    schedule: Annotated[Text | Annotated[ScheduleSettings, Tag(_FIELDS)], _form] | None = Field(
        default=None, description="Cron fields, or cron, timezone and name."
    )
    sensors: list[SensorSettings] = Field(default_factory=list)
    checks: Checks = Field(
        default_factory=list, description="Names of checks, or a name with its settings, such as {few_rejects: {rows: 10}}."
    )
    op: OpSettings = Field(default_factory=OpSettings)
    on_empty: Literal["materialize", "observe", "skip"] = "materialize"
    preview_rows: int = Field(default=0, ge=0, le=10)
    preview_masked: list[str] = Field(default_factory=list)
    progress: Literal["log", "observe", "none"] = Field(
        default="log", description="What a load that takes long says: lines of the log, or observations of the asset."
    )
    progress_seconds: float = Field(default=60, gt=0, description="It says so at most once in so many seconds.")
    upstream: bool | UpstreamSettings = Field(
        default=False, description="Whether the system that is read is an asset above; true, or how it is shown."
    )
    resources: dict[str, ResourceSettings] = Field(default_factory=dict)
    translation: Annotated[Template | Annotated[TranslationSettings, Tag(_FIELDS)], _form] | None = None

    @field_validator("sensors", mode="before")
    @classmethod
    def _expect_list(cls, value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError("'sensors' is a list, such as [{type: http, url: https://api.example/changes}].")
        return value


class LoadSettings(TargetSettings):
    """One load: a source, where it goes, and how its resources become assets."""

    source: str = Field(
        description="Import path of a source, or of a function that gives one: package.module:name, or "
        ".module:name beside this file. It is called in the step."
    )
    args: dict[str, Any] = Field(default_factory=dict, description="Arguments of the source; secrets as {secret: NAME}.")


class CollectionSettings(Settings):
    """Several loads."""

    loads: list[LoadSettings]
