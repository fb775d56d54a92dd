"""What the component for files may be told in YAML."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from dlt_orchestrate.dagster.components.settings import SensorSettings, Settings, TargetSettings
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.filesystem import read_csv
from dlt_orchestrate.sources.filesystem.folder import HINTS, expect_once, format_of, names_no_files, wrong_options


class FilesTableSettings(Settings):
    """The files of one table, how they are read, and hints of the table; a text is the pattern of its files."""

    # To editors: what is said of objects says nothing of texts.
    model_config = ConfigDict(json_schema_extra={"type": ["object", "string"]})

    file_glob: str = Field(description="Which files, as a path behind bucket_url, such as orders/*.csv.")
    format: Literal["csv", "csv_duckdb", "excel", "json", "jsonl", "parquet"] | None = Field(
        default=None, validate_default=True, description="How they are written; as the pattern ends by default."
    )
    options: dict[str, Any] | None = Field(default=None, description="Of the reader, such as {sep: ;}.")
    description: str | None = None
    table_name: str | None = Field(default=None, description="The name of the resource by default.")
    write_disposition: str | dict[str, Any] | None = Field(default=None, description="append, replace, or merge.")
    primary_key: str | list[str] | None = None
    merge_key: str | list[str] | None = None
    columns: dict[str, dict[str, Any]] | None = Field(default=None, description="Column hints by name.")
    schema_contract: str | dict[str, Any] | None = None
    max_table_nesting: int | None = None
    load_once: Literal["version", "name"] | None = Field(default=None, description="In place of that of all tables.")

    @model_validator(mode="before")
    @classmethod
    def _expect_keys(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"file_glob": value}
        if not isinstance(value, Mapping | FilesTableSettings):
            raise ValueError(names_no_files(value))
        return value

    @field_validator("format")
    @classmethod
    def _expect_told_format(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern = info.data.get("file_glob")
        if pattern is not None and not _is_open(pattern):
            _expect(lambda: format_of(pattern, value))
        return value

    @field_validator("options")
    @classmethod
    def _expect_options_of_reader(cls, value: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
        pattern, given = info.data.get("file_glob"), info.data.get("format")
        if value and pattern is not None and "format" in info.data and not (given is None and _is_open(pattern)):
            wrong = wrong_options(format_of(pattern, given), value)
            if wrong:
                raise ValidationError.from_exception_data(
                    "options",
                    [
                        {"type": "value_error", "loc": (option,), "input": None, "ctx": {"error": ValueError(problem)}}
                        for option, problem in wrong.items()
                    ],
                )
        return value

    @field_validator(*HINTS)
    @classmethod
    def _expect_workable(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not _is_open(value):
            hint: dict[str, Any] = {str(info.field_name): value}
            _expect(lambda: read_csv.clone().apply_hints(**hint))
        return value

    @field_validator("load_once")
    @classmethod
    def _expect_rows_to_stay(cls, value: str | None, info: ValidationInfo) -> str | None:
        _expect(lambda: expect_once(value, info.data.get("write_disposition")))
        return value


class FilesSensorSettings(SensorSettings):
    """A sensor; one of type `files` without `bucket_url` looks for new files of the tables."""

    own_type = "files"


class FilesSettings(TargetSettings):
    """The files of a folder or a bucket, and where they go."""

    bucket_url: str = Field(description="A path in the project's folder, or an address such as s3://bucket/prefix.")
    credentials: Any = Field(default=None, description="Of the store, by name; secrets as {secret: NAME}.")
    tables: dict[str, FilesTableSettings] = Field(
        min_length=1,
        description="By the name of the resource a pattern such as orders/*.csv, or file_glob, format, options of the "
        "reader, load_once, and hints such as primary_key.",
    )
    load_once: Literal["version", "name"] | None = Field(
        default="version",
        description="version: again when it has changed; name: never again; null: in every run, as "
        "tables with replace, scd2 or cdc always do.",
    )
    min_age_seconds: float = Field(default=0, ge=0, description="Files that were written to later wait for the next run.")
    files_per_page: int = Field(default=100, ge=1)
    sensors: list[FilesSensorSettings] = Field(  # type: ignore[assignment]  # of a narrower kind, and never assigned to
        default_factory=list, description="{type: files} launches runs when files of the tables have come."
    )

    def told_of_tables(self) -> dict[str, dict[str, Any]]:
        """What is told of each table, with templates as they stand."""
        return {name: table.model_dump(exclude_unset=True) for name, table in self.tables.items()}


def _expect(check: Callable[[], object]) -> None:
    """Answer what a check of the source says against a value, without the name that it has for the table."""
    try:
        check()
    except DeclarationError as error:
        told = str(error).removeprefix(f"Resource {read_csv.name!r}").lstrip(":, ")
        raise ValueError(told) from None


def _is_open(value: Any) -> bool:
    """Whether templates stand in a value, so that it is judged once they are carried out."""
    return "{{" in str(value)
