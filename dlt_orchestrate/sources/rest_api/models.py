"""What the configuration of a REST API may say: one model for Python dictionaries, YAML and the component of Dagster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.spelling import meant, nearest
from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.declare.hints import Declared
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import DeclarationError, InvalidPathError
from dlt_orchestrate.http.hosts import RateLimit
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.sources.rest_api.functions import FunctionField, SessionField
from dlt_orchestrate.sources.rest_api.schemes import AUTO, REFERENCE_SCHEMA, Auth, Paginator, PaginatorField
from dlt_orchestrate.sources.rest_api.strict import Strict, kind_of

Function = Annotated[Any, FunctionField]


def _path(path: str) -> str:
    try:
        parse_path(path)
    except InvalidPathError as error:
        raise ValueError(str(error)) from None
    return path


JsonPath = Annotated[str, AfterValidator(_path)]
"""Keys, `[*]`, `[0]` and `['key']`, such as `data.items`."""


class IncrementalConfig(Strict):
    """The cursor of a resource, and the parameters that ask for what is new."""

    cursor_path: JsonPath = Field(description="The field of a record that tells its age.")
    initial_value: Any = Field(default=None, description="Where the first run starts.")
    end_value: Any = Field(default=None, description="Where a bounded run ends, which reads and writes no state.")
    start_param: str | None = Field(default=None, description="The query parameter that takes the start.")
    end_param: str | None = Field(default=None, description="The query parameter that takes the end.")
    convert: Function | None = Field(default=None, description="Makes of a cursor value what the API takes.")
    last_value_func: Annotated[Any, WithJsonSchema({"enum": ["max", "min"]})] = "max"
    primary_key: Annotated[Any, WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}})] = None
    row_order: Literal["asc", "desc"] | None = None
    allow_external_schedulers: bool | None = None
    on_cursor_value_missing: Literal["raise", "include", "exclude"] = "raise"
    lag: float | None = None
    range_start: Literal["open", "closed"] = "closed"
    range_end: Literal["open", "closed"] = "open"

    @model_validator(mode="after")
    def _expect_sense(self) -> IncrementalConfig:
        _declared(self.declared)
        return self

    def declared(self) -> Incremental[Any]:
        """The cursor as a resource declares it."""
        given = self.model_dump(exclude_unset=True, exclude={"type", "start_param", "end_param", "convert"})
        return Incremental(**given)


class ResolveParam(Strict):
    """A part of the path that is a field of a parent's row; `{resources.parent.field}` in the path says the same."""

    type: Literal["resolve"]
    resource: str
    field: JsonPath


class IncrementalParam(IncrementalConfig):
    """A parameter that takes the start of what is new."""

    type: Literal["incremental"]


class _ParamField:
    """A query parameter: a value, perhaps with placeholders, or one that is told by a cursor or a parent."""

    _kinds: Mapping[str, type[Strict]] = {"incremental": IncrementalParam, "resolve": ResolveParam}

    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        kind = value.get("type")
        if kind is None and (wrong := next((key for key in value if nearest(str(key), ("type",))), None)) is not None:
            raise ValueError(f"{wrong!r} is no key of it. {meant(str(wrong), ('type',))}")
        if kind is None:
            raise ValueError("should be a text, a number or a list, or a mapping with 'type': incremental or resolve")
        if not isinstance(kind, str) or kind not in cls._kinds:
            raise ValueError(f"there is no type of parameter {kind!r}. {meant(str(kind), cls._kinds)}")
        return cls._kinds[kind].model_validate(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        special = [{**kind.model_json_schema(), "required": ["type"]} for kind in cls._kinds.values()]
        return {"anyOf": [{"type": ["string", "number", "boolean", "null", "array"]}, REFERENCE_SCHEMA, *special]}


class ResponseAction(Strict):
    """What becomes of an answer that has this status, and this text in its body."""

    status_code: int | None = Field(default=None, ge=100, le=599)
    content: str | None = None
    action: Any = Field(description="ignore, raise, a function that looks at the answer, or several.")

    @field_validator("action")
    @classmethod
    def _expect_action(cls, value: Any) -> Any:
        if isinstance(value, str) and ":" not in value:
            if value not in ("ignore", "raise"):
                raise ValueError(f"there is no action {value!r}. {meant(value, ('ignore', 'raise'))}")
            return value
        return [FunctionField.read(one) for one in (value if isinstance(value, list | tuple) else [value])]

    @model_validator(mode="after")
    def _expect_condition(self) -> ResponseAction:
        if isinstance(self.action, str) and self.status_code is None and self.content is None:
            raise ValueError("needs 'status_code' or 'content', which say what answers it is about")
        return self


def _action(value: Any) -> Any:
    """A response action; a function alone looks at every answer."""
    if callable(value) or (isinstance(value, str) and ":" in value):
        return ResponseAction(action=value)
    return value


class ProcessingStep(Strict):
    """One step that records pass through on their way to the table, and to children."""

    filter: Function | None = Field(default=None, description="Keeps the records that it says yes to.")
    map: Function | None = Field(default=None, description="Makes another record of each.")
    yield_map: Function | None = Field(default=None, description="Makes several records of each.")

    @model_validator(mode="after")
    def _expect_one(self) -> ProcessingStep:
        if len(self.model_fields_set) != 1:
            raise ValueError("should have exactly one of 'filter', 'map' and 'yield_map'")
        return self


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _incremental(value: Any) -> Any:
    return value if isinstance(value, Incremental) else IncrementalConfig.model_validate(value)


Method = Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], BeforeValidator(_upper)]


def _header(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple):
        raise ValueError(f"should be a text or a number, not {kind_of(value)}")
    return value


Values = dict[
    str,
    Annotated[Any, AfterValidator(_header), WithJsonSchema({"anyOf": [{"type": ["string", "number"]}, REFERENCE_SCHEMA]})],
]


def _address(value: Any) -> Any:
    """An address with its scheme and its host."""
    if not isinstance(value, str) or isinstance(value, Placeholder) or re.match(r"https?://[^/?#.]", value, re.IGNORECASE):
        return value
    told = "should be an address that begins with https:// or http:// and a host"
    if "@" in value:  # which stands behind a password
        raise ValueError(told)
    likely = f". Did you mean 'https://{value.lstrip('/')}'?" if re.match(r"/*[\w-]+(\.[\w-]+)+([:/]|$)", value) else ""
    raise ValueError(f"{told}, not {value!r}{likely}")


class EndpointConfig(Strict):
    """Where the records of a resource are, and how they are asked for."""

    path: str | None = Field(default=None, description="Below base_url, or a full address; the resource's name by default.")
    method: Method | None = Field(default=None, description="GET by default.")
    params: dict[str, Annotated[Any, _ParamField]] | None = Field(default=None, description="Query parameters.")
    body: Annotated[Any, WithJsonSchema({"type": ["object", "array"]})] = Field(
        default=None, alias="json", description="The body of the request."
    )
    data: Any = Field(default=None, description="The body of the request, as a form or as it is.")
    headers: Values | None = Field(default=None, description="In addition to those of the client.")
    auth: Auth = Field(default=None, description="Instead of that of the client.")
    paginator: Paginator = Field(default=None, description="How it pages, instead of that of the client.")
    data_selector: JsonPath | None = Field(
        default=None, description="Where the records stand in an answer; found on the first page by default."
    )
    response_actions: list[Annotated[ResponseAction, BeforeValidator(_action)]] | None = Field(
        default=None, description="What becomes of answers that are no records: {status_code: 404, action: ignore}."
    )
    incremental: Annotated[
        Any, PlainValidator(_incremental), WithJsonSchema(IncrementalConfig.model_json_schema(mode="validation"))
    ] = Field(default=None, description="Loads only what is new.")
    conditional: bool | None = Field(
        default=None,
        description="Ask only for what has changed, by ETag or Last-Modified. By default where one page holds everything.",
    )

    @model_validator(mode="after")
    def _expect_one_body(self) -> EndpointConfig:
        if self.body is not None and self.data is not None:
            raise ValueError("has both 'json' and 'data'. Give one body")
        return self


def _endpoint(value: Any) -> Any:
    """An endpoint: its path, or all of it. Null as its paginator says nothing, as in dlt: that of the client holds."""
    if isinstance(value, str):
        return {"path": value}
    if isinstance(value, Mapping):
        return {key: part for key, part in value.items() if key != "paginator" or part is not None}
    if not isinstance(value, EndpointConfig):
        raise ValueError(f"should be a path or a mapping, not {kind_of(value)}")
    return value


Endpoint = Annotated[EndpointConfig, BeforeValidator(_endpoint, json_schema_input_type=str | EndpointConfig)]

_KEYS_SCHEMA = {"type": ["string", "array"], "items": {"type": "string"}}
HINTS = (
    "table_name", "write_disposition", "columns", "primary_key", "merge_key", "max_table_nesting", "schema_contract",
    "table_format", "file_format", "references", "nested_hints",
)  # fmt: skip


class ResourceDefaults(Strict):
    """What holds for every resource that does not say otherwise."""

    endpoint: Endpoint | None = None
    table_name: Annotated[Any, WithJsonSchema({"type": "string"})] = None
    write_disposition: Annotated[
        Any, WithJsonSchema({"anyOf": [{"enum": ["append", "replace", "merge", "skip"]}, {"type": "object"}]})
    ] = None
    columns: Annotated[Any, WithJsonSchema({"type": ["object", "array"]})] = Field(
        default=None, description="Column hints by name."
    )
    primary_key: Annotated[Any, WithJsonSchema(_KEYS_SCHEMA)] = None
    merge_key: Annotated[Any, WithJsonSchema(_KEYS_SCHEMA)] = None
    max_table_nesting: int | None = None
    schema_contract: Annotated[Any, WithJsonSchema({"type": ["string", "object"]})] = None
    table_format: str | None = None
    file_format: str | None = None
    references: Annotated[Any, WithJsonSchema({"type": "array"})] = None
    nested_hints: Annotated[Any, WithJsonSchema({"type": "object"})] = None
    selected: bool = Field(default=True, description="Whether it is loaded, and not only read for its children.")
    parallelized: bool = Field(default=False, description="Whether it may run beside the others.")
    include_from_parent: list[str] | None = Field(
        default=None, description="Fields of the parent's row that each record takes over, as _<parent>_<field>."
    )
    processing_steps: list[ProcessingStep] | None = None
    asset: Annotated[Any, WithJsonSchema({"type": "object"})] = Field(
        default=None, description="Hints of its asset in Dagster."
    )
    spec: Annotated[Any, WithJsonSchema({})] = Field(default=None, description="Accepted as in dlt, without effect.")

    @field_validator(*HINTS)
    @classmethod
    def _expect_hint(cls, value: Any, info: ValidationInfo) -> Any:
        _declared(lambda: Declared().changed(_ANY, **{str(info.field_name): value}))
        return value

    @field_validator("asset")
    @classmethod
    def _expect_asset_hints(cls, value: Any) -> Any:
        _declared(lambda: AssetHints.of(value, resource=_ANY))
        return value


class ResourceConfig(ResourceDefaults):
    """One resource: a kind of record, which becomes a table and an asset."""

    name: str = Field(min_length=1, description="Its name, and by default that of its table.")
    description: str | None = Field(default=None, description="What it holds, for those who look at its asset.")


class RateLimitConfig(Strict):
    """So many requests a second, after a first burst; so many at once."""

    per_second: float | None = Field(default=None, gt=0)
    burst: int = Field(default=1, ge=1)
    max_concurrent: int | None = Field(default=None, ge=1)


_NUMBER = re.compile(r"\d+(\.\d+)?")


def _auto(value: Any) -> Any:
    return AUTO if value is None else value


class ClientConfig(Strict):
    """The API as a whole."""

    base_url: Annotated[str, BeforeValidator(_address)] = Field(
        description="What paths are below; headers and credentials go to its origin only."
    )
    auth: Auth = Field(default=None, description="Credentials.")
    paginator: Annotated[Any, PaginatorField, BeforeValidator(_auto)] = Field(
        default=None, description="How it pages; detected for each resource by default."
    )
    headers: Values | None = None
    session: SessionField = None
    concurrency: int = Field(default=5, ge=1, le=200, description="Most requests on their way at once, for children.")
    rate_limit: Annotated[
        Any, WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, RateLimitConfig.model_json_schema()]})
    ] = Field(default=None, description="Most requests a second, for all resources together.")
    allowed_origins: list[Annotated[str, BeforeValidator(_address)]] = Field(
        default_factory=list, description="Origins that links to next pages may lead to; they get no credentials."
    )

    @field_validator("rate_limit")
    @classmethod
    def _expect_rate_limit(cls, value: Any) -> Any:
        if value is None or isinstance(value, RateLimit | Placeholder):
            return value or None
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)  # as an environment variable has it
        if not isinstance(value, Mapping | int | float) or isinstance(value, bool):
            raise ValueError(f"should be a number, or a mapping with 'per_second', not {kind_of(value)}")
        if not isinstance(value, Mapping) and value <= 0:
            raise ValueError(f"should be greater than 0, not {value!r}")
        given = value if isinstance(value, Mapping) else {"per_second": value}
        return RateLimit(**RateLimitConfig.model_validate(given).model_dump())


class RESTAPIConfig(Strict):
    """A REST API: its client, what holds for all resources, and the resources."""

    client: ClientConfig
    resource_defaults: ResourceDefaults | None = None
    resources: list[Annotated[Any, PlainValidator(lambda value: _resource(value)), WithJsonSchema({})]] = Field(
        min_length=1
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made: dict[str, Any] = handler.resolve_ref_schema(handler(schema))
        one: dict[str, Any] = handler(ResourceConfig.__pydantic_core_schema__)
        made["properties"]["resources"]["items"] = {"anyOf": [{"type": "string"}, one]}
        return made


def _resource(value: Any) -> Any:
    """A resource: its name, its configuration, or one that was made in Python."""
    if isinstance(value, Resource):
        return value
    if isinstance(value, str):
        return ResourceConfig(name=value)
    if not isinstance(value, Mapping | ResourceConfig):
        raise ValueError(f"should be a name or a mapping, not {kind_of(value)}")
    return _RESOURCE.validate_python(value)


_RESOURCE: TypeAdapter[ResourceConfig] = TypeAdapter(ResourceConfig)


_ANY = "any"
"""Stands for the resource in messages whose place says which one it is."""


def _declared(make: Callable[[], object]) -> None:
    """Have the declaration judge a value.

    Raises:
        ValueError: It refuses it.
    """
    try:
        make()
    except DeclarationError as error:
        raise ValueError(re.sub(f"^Resource {_ANY!r}[:,] ", "", str(error))) from None
