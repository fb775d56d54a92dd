"""Pydantic models as columns: what they make of tables, of records, and of records that are not what they say."""

# Models are read by their annotations, so these are not postponed here.
import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from uuid import UUID

import pyarrow as pa
import pytest
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    NaiveDatetime,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)

import dlt_orchestrate as dlt
from dlt_orchestrate import mark
from dlt_orchestrate.errors import (
    CursorValueError,
    DataValidationError,
    DeclarationError,
    InvalidResourceDataError,
    PipelineStepFailed,
    TooManyRejectsError,
)


class User(BaseModel):
    id: int
    name: str
    age: int | None = None


class Address(BaseModel):
    street: str
    zip: str | None = None


class Order(BaseModel):
    id: int
    address: Address
    lines: list[Address] = []


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline(pipeline_name="shop", destination="memory", dataset_name="mydata")


@pytest.fixture(params=["duckdb", "memory"])
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def warehouse(project: Path, destination: str) -> dlt.Pipeline:
    return dlt.pipeline(pipeline_name="shop", destination=destination, dataset_name="mydata")


def loaded(pipeline: dlt.Pipeline, table: str, *columns: str) -> list[tuple]:
    """The rows in the order in which they were loaded."""
    found = pipeline.dataset()[table].select(*columns, "_dlt_load_id", "_dlt_id").fetchall()
    return [row[:-2] for row in sorted(found, key=lambda row: row[-2:])]


def columns(pipeline: dlt.Pipeline, table: str) -> dict[str, tuple[str, bool]]:
    """Type and nullability by name."""
    found = pipeline.default_schema.tables[table].columns.values()
    return {column.name: (str(column.type), column.nullable) for column in found if not column.name.startswith("_dlt")}


def violation(pipeline: dlt.Pipeline, data: Any, **hints: Any) -> DataValidationError:
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(data, table_name="users", **{"columns": User, **hints})
    assert caught.value.step == "extract"
    assert isinstance(caught.value.__cause__, DataValidationError)
    return caught.value.__cause__


def stored_rejects(pipeline: dlt.Pipeline) -> list[tuple[Any, str | None]]:
    with pipeline.destination.reader("mydata") as reader:
        found = reader.query('SELECT "row", column_name FROM _dlt_rejects ORDER BY "row"').to_pylist()
    return [(json.loads(row["row"]), row["column_name"]) for row in found]


# --- columns -----------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Everything(BaseModel):
    whole: int
    real: float
    text: str
    yes: bool
    aware: AwareDatetime
    naive: NaiveDatetime
    moment: datetime
    day: date
    clock: time
    amount: Annotated[Decimal, Field(max_digits=10, decimal_places=2)]
    share: Annotated[Decimal, Field(decimal_places=3)] | None
    raw: bytes
    uuid: UUID
    colour: Colour
    level: Level
    kind: Literal["a", "b"]
    number: Literal[1, 2]
    either: int | float
    mixed: int | str
    maybe: int | None
    limited: Annotated[int, Field(gt=0)]
    nested: Address
    many: list[Address]
    mapping: dict[str, int]
    pair: tuple[int, str]
    tags: set[str]
    site: HttpUrl
    host: IPv4Address
    took: timedelta
    late: int = None  # type: ignore[assignment]  # a default that the annotation does not know
    anything: Any = None


EVERYTHING = {
    "whole": "1",
    "real": 2,
    "text": "2024-01-01T00:00:00Z",
    "yes": "true",
    "aware": "2024-01-01T02:00:00+02:00",
    "naive": "2024-01-01T02:00:00",
    "moment": 0,
    "day": "2024-01-02",
    "clock": "12:30",
    "amount": "7.5",
    "share": "0.125",
    "raw": "ab",
    "uuid": "12345678123456781234567812345678",
    "colour": "red",
    "level": 1,
    "kind": "a",
    "number": 2,
    "either": 3,
    "mixed": 4,
    "maybe": None,
    "limited": 1,
    "nested": {"street": "High St"},
    "many": [{"street": "Low St", "zip": "1"}],
    "mapping": {"k": "5"},
    "pair": [6, "x"],
    "tags": ["b", "a", "b"],
    "site": "https://example.org",
    "host": "10.0.0.1",
    "took": 3600,
}


def test_a_model_declares_names_types_and_nulls_of_columns(pipeline: dlt.Pipeline) -> None:
    pipeline.run([EVERYTHING], table_name="things", columns=Everything)

    assert columns(pipeline, "things") == {
        "whole": ("bigint", False),
        "real": ("double", False),
        "text": ("text", False),
        "yes": ("bool", False),
        "aware": ("timestamp", False),
        "naive": ("timestamp without time zone", False),
        "moment": ("timestamp", False),
        "day": ("date", False),
        "clock": ("time", False),
        "amount": ("decimal(10,2)", False),
        "share": ("decimal(38,3)", True),
        "raw": ("binary", False),
        "uuid": ("text", False),
        "colour": ("text", False),
        "level": ("bigint", False),
        "kind": ("text", False),
        "number": ("bigint", False),
        "either": ("double", False),
        "mixed": ("text", False),
        "maybe": ("bigint", True),
        "limited": ("bigint", False),
        "nested": ("json", False),
        "many": ("json", False),
        "mapping": ("json", False),
        "pair": ("json", False),
        "tags": ("json", False),
        "site": ("text", False),
        "host": ("text", False),
        "took": ("text", False),
        "late": ("bigint", True),
    }


def test_values_are_stored_as_the_model_reads_them(warehouse: dlt.Pipeline) -> None:
    warehouse.run([EVERYTHING], table_name="things", columns=Everything)

    (row,) = warehouse.dataset()["things"].arrow().to_pylist()
    found = {
        name: json.loads(row[name]) if kind == "json" else row[name]
        for name, (kind, _) in columns(warehouse, "things").items()
    }
    assert found == {
        "whole": 1,
        "real": 2.0,
        "text": "2024-01-01T00:00:00Z",
        "yes": True,
        "aware": datetime(2024, 1, 1, tzinfo=UTC),
        "naive": datetime(2024, 1, 1, 2),
        "moment": datetime(1970, 1, 1, tzinfo=UTC),
        "day": date(2024, 1, 2),
        "clock": time(12, 30),
        "amount": Decimal("7.50"),
        "share": Decimal("0.125"),
        "raw": b"ab",
        "uuid": "12345678-1234-5678-1234-567812345678",
        "colour": "red",
        "level": 1,
        "kind": "a",
        "number": 2,
        "either": 3.0,
        "mixed": "4",
        "maybe": None,
        "limited": 1,
        "nested": {"street": "High St", "zip": None},
        "many": [{"street": "Low St", "zip": "1"}],
        "mapping": {"k": 5},
        "pair": [6, "x"],
        "tags": ["a", "b"],
        "site": "https://example.org/",
        "host": "10.0.0.1",
        "took": "PT1H",
        "late": None,
    }


def test_descriptions_of_fields_are_those_of_columns(pipeline: dlt.Pipeline) -> None:
    class Reading(BaseModel):
        celsius: float = Field(description="In the shade.")

    pipeline.run([{"celsius": 20}], table_name="readings", columns=Reading)

    assert pipeline.default_schema.tables["readings"].columns["celsius"].description == "In the shade."


def test_columns_bear_the_names_that_pydantic_writes(pipeline: dlt.Pipeline) -> None:
    class Reading(BaseModel):
        celsius: float = Field(alias="tempC")
        sensor: str = Field(validation_alias="sensorId")
        room: str = Field(serialization_alias="roomName")

    pipeline.run([{"tempC": "20.5", "sensorId": "s1", "room": "attic"}], table_name="readings", columns=Reading)

    assert loaded(pipeline, "readings", "temp_c", "sensor", "room_name") == [(20.5, "s1", "attic")]


def test_columns_that_only_the_model_knows_are_made(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 1, "name": "Ada"}], table_name="users", columns=User)

    assert list(columns(pipeline, "users")) == ["id", "name", "age"]


def test_hints_given_beside_a_model_are_merged_over_it(pipeline: dlt.Pipeline) -> None:
    users = dlt.resource([{"id": 1, "name": "Ada"}], name="users", columns=User)
    users.apply_hints(columns={"name": {"nullable": True, "description": "In full."}, "city": {"data_type": "text"}})

    pipeline.run(users)

    assert columns(pipeline, "users")["name"] == ("text", True)
    assert columns(pipeline, "users")["city"] == ("text", True)
    assert pipeline.default_schema.tables["users"].columns["name"].description == "In full."
    assert violation(pipeline, dlt.resource([{"id": "x", "name": "y"}], name="users"), columns=User).column == "id"


def test_a_model_that_is_not_completely_defined_is_refused_where_it_is_declared() -> None:
    class Half(BaseModel):
        other: "Missing"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError, match=r"'.*Half' cannot be used as columns, since it is not completely defined"):
        dlt.resource([], name="halves", columns=Half)


def test_secrets_are_not_stored_as_asterisks_in_silence(pipeline: dlt.Pipeline) -> None:
    class Login(BaseModel):
        user: str
        word: SecretStr | None = None

    class Kept(Login):
        word: SecretStr | None = Field(None, exclude=True)

    with pytest.raises(
        DeclarationError, match="column 'word' would hold a secret, of which pydantic writes only asterisks"
    ):
        dlt.resource([], name="logins", columns=Login)
    pipeline.run([{"user": "ada", "word": "hush"}], table_name="logins", columns=Kept)

    assert list(columns(pipeline, "logins")) == ["user"]


def test_an_instance_is_no_model() -> None:
    with pytest.raises(DeclarationError, match=r"or a pydantic model \(the class, of pydantic 2\), not User"):
        dlt.resource([], name="users", columns=User(id=1, name="x"))  # type: ignore[call-overload]


# --- nested models -----------------------------------------------------------------------------------------------


def test_nested_models_and_lists_are_json_columns(pipeline: dlt.Pipeline) -> None:
    pipeline.run(
        [{"id": 1, "address": {"street": 5}}], table_name="orders", columns=Order, schema_contract={"data_type": "evolve"}
    )
    pipeline.run([{"id": 2, "address": {"street": "x"}, "lines": [{"street": "y"}]}], table_name="orders", columns=Order)

    found = loaded(pipeline, "orders", "id", "address", "lines")
    assert [(key, json.loads(address)) for key, address, _ in found] == [
        (1, {"street": 5}),
        (2, {"street": "x", "zip": None}),
    ]
    assert json.loads(found[1][2]) == [{"street": "y", "zip": None}]


def test_nested_types_may_become_columns_and_tables(pipeline: dlt.Pipeline) -> None:
    class Taken(Order):
        dlt_config: ClassVar[dict[str, bool]] = {"skip_nested_types": True}
        billing: Address | None = None

    data = [{"id": 1, "address": {"street": "x"}, "lines": [{"street": "y", "zip": "1"}, {"street": "z"}]}]
    rejected = {"id": 2, "address": {"street": "x"}, "lines": [{"zip": "1"}]}

    pipeline.run([*data, rejected], table_name="orders", columns=Taken, schema_contract={"data_type": "discard_row"})

    assert columns(pipeline, "orders") == {
        "id": ("bigint", False),
        "address__street": ("text", False),
        "address__zip": ("text", True),
        "billing__street": ("text", True),
        "billing__zip": ("text", True),
    }
    assert loaded(pipeline, "orders", "id", "address__street", "billing__zip") == [(1, "x", None)]
    assert pipeline.dataset()["orders__lines"].select("street", "zip").fetchall() == [("y", "1"), ("z", None)]
    assert stored_rejects(pipeline) == [(rejected, "lines.0.street")]


def test_a_model_that_holds_itself_is_read(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"name": "a", "below": [{"name": "b", "below": []}]}], table_name="nodes", columns=Node)
    pipeline.run([{"name": "a", "above": {"name": "b", "above": {"name": "c"}}}], table_name="flat", columns=FlatNode)

    assert columns(pipeline, "nodes") == {"name": ("text", False), "below": ("json", False)}
    assert list(columns(pipeline, "flat")) == ["name", "above__name", "above__above__name"]


class Node(BaseModel):
    name: str
    below: "list[Node]" = []


class FlatNode(BaseModel):
    dlt_config: ClassVar[dict[str, bool]] = {"skip_nested_types": True}
    name: str
    above: "FlatNode | None" = None


def test_unknown_switches_of_a_model_are_refused() -> None:
    class Odd(BaseModel):
        dlt_config: ClassVar[dict[str, bool]] = {"return_validated_models": True}

    with pytest.raises(DeclarationError, match="dlt_config holds 'return_validated_models', which is not supported"):
        dlt.resource([], name="odd", columns=Odd)


def test_a_root_model_over_several_models_has_the_columns_of_all(pipeline: dlt.Pipeline) -> None:
    class Opened(BaseModel):
        kind: Literal["opened"]
        at: int

    class Closed(BaseModel):
        kind: Literal["closed"]
        reason: str

    class Event(RootModel[Annotated[Opened | Closed, Field(discriminator="kind")]]):
        pass

    pipeline.run([{"kind": "opened", "at": "3"}, {"kind": "closed", "reason": "done"}], table_name="events", columns=Event)

    assert columns(pipeline, "events") == {"kind": ("text", False), "at": ("bigint", True), "reason": ("text", True)}
    assert loaded(pipeline, "events", "kind", "at", "reason") == [("opened", 3, None), ("closed", None, "done")]


# --- what models themselves do -----------------------------------------------------------------------------------


def test_validators_computed_fields_and_serializers_of_a_model_are_followed(pipeline: dlt.Pipeline) -> None:
    class Basket(BaseModel):
        price: Decimal
        count: int
        seen: datetime
        note: str = Field("", exclude=True)

        @field_validator("count")
        @classmethod
        def positive(cls, count: int) -> int:
            if count < 1:
                raise ValueError("must be at least 1")
            return count

        @computed_field  # type: ignore[prop-decorator]
        @property
        def total(self) -> Decimal:
            return self.price * self.count

        @field_serializer("seen")
        def seconds(self, seen: datetime) -> int:
            return int(seen.timestamp())

    basket = {"price": "1.25", "count": 2, "seen": "1970-01-01T00:01:00Z", "note": "x"}
    pipeline.run(
        [basket, basket | {"count": 0}], table_name="baskets", columns=Basket, schema_contract={"data_type": "discard_row"}
    )

    assert loaded(pipeline, "baskets", "price", "count", "seen", "total") == [(Decimal("1.25"), 2, 60, Decimal("2.5"))]
    assert list(columns(pipeline, "baskets")) == ["price", "count", "seen", "total"]
    (reject,) = stored_rejects(pipeline)
    assert reject == (basket | {"count": 0}, "count")


def test_a_rule_over_the_whole_record_names_no_column(pipeline: dlt.Pipeline) -> None:
    class Span(BaseModel):
        start: int
        end: int

        @model_validator(mode="after")
        def rising(self) -> "Span":
            if self.end < self.start:
                raise ValueError("end must not be before start")
            return self

    error = violation(pipeline, [{"start": 1, "end": 2}, {"start": 2, "end": 1}], columns=Span)

    assert (error.row, error.column, error.rule) == (2, None, "end must not be before start")
    assert "row 2: the record: model" in str(error)


# --- frozen ------------------------------------------------------------------------------------------------------


def test_a_value_that_does_not_validate_fails_the_load_and_is_named(pipeline: dlt.Pipeline) -> None:
    pages = [[{"id": 1, "name": "Ada"}], [{"id": 2, "name": "Bo"}, {"id": "three", "name": "Cy"}]]

    error = violation(pipeline, dlt.resource(iter(pages), name="users"))

    assert (error.resource, error.table, error.model, error.contract) == ("users", "users", "User", "data_type")
    assert (error.column, error.row, error.found) == ("id", 3, "'three'")
    assert error.rule == "input should be a valid integer, unable to parse string as an integer"
    assert error.record == "{'id': 'three', 'name': 'Cy'}"
    for part in (
        "Resource 'users', table 'users', row 3: column 'id' holds 'three', and model User says: input should be",
        "data_type='freeze'",
        "The row: {'id': 'three', 'name': 'Cy'}",
        "mend the value in a step (add_map)",
    ):
        assert part in str(error)
    assert pipeline.default_schema.tables.get("users") is None


def test_a_missing_field_is_named(pipeline: dlt.Pipeline) -> None:
    error = violation(pipeline, [{"id": 1}])

    assert (error.column, error.found) == ("name", None)
    assert "column 'name': model User says: the field is required, and the record lacks it" in str(error)


def test_what_is_no_record_is_named(pipeline: dlt.Pipeline) -> None:
    error = violation(pipeline, [1])

    assert (error.column, error.record) == (None, "1")


def test_values_that_are_named_like_secrets_are_not_shown(pipeline: dlt.Pipeline) -> None:
    class Login(BaseModel):
        user: int
        password: int

    error = violation(pipeline, [{"user": 1, "password": "hunter2"}], columns=Login)

    assert error.column == "password"
    assert "hunter2" not in str(error) + repr(vars(error))
    assert error.__context__ is None


def test_long_records_are_shortened(pipeline: dlt.Pipeline) -> None:
    error = violation(pipeline, [{"id": "x" * 10_000, "name": "y" * 10_000}])

    assert len(str(error)) < 1_200


# --- unknown fields ----------------------------------------------------------------------------------------------

MORE = [{"id": 1, "name": "Ada", "city": "Lisbon"}]


def test_unknown_fields_are_left_out_by_default(pipeline: dlt.Pipeline) -> None:
    pipeline.run(MORE, table_name="users", columns=User)

    assert list(columns(pipeline, "users")) == ["id", "name", "age"]


def test_unknown_fields_are_taken_in_if_columns_evolve(pipeline: dlt.Pipeline) -> None:
    data = [{"id": 1, "address": {"street": "x", "floor": 3}, "note": "n", "lines": [{"street": "y", "door": 1}]}]

    pipeline.run(data, table_name="orders", columns=Order, schema_contract={"columns": "evolve"})

    ((note, address, lines),) = loaded(pipeline, "orders", "note", "address", "lines")
    assert note == "n"
    assert json.loads(address) == {"street": "x", "zip": None, "floor": 3}
    assert json.loads(lines) == [{"street": "y", "zip": None, "door": 1}]


def test_unknown_fields_fail_the_load_if_columns_are_frozen(pipeline: dlt.Pipeline) -> None:
    error = violation(pipeline, MORE, schema_contract={"columns": "freeze"})

    assert (error.contract, error.column, error.found) == ("columns", "city", "'Lisbon'")
    assert "add the field to the model" in str(error)


def test_rows_with_unknown_fields_are_rejected_if_the_contract_says_so(pipeline: dlt.Pipeline) -> None:
    nested = {"id": 2, "address": {"street": "x", "floor": 3}}
    data = [{"id": 1, "address": {"street": "x"}}, nested]

    pipeline.run(data, table_name="orders", columns=Order, schema_contract={"columns": "discard_row"})

    assert loaded(pipeline, "orders", "id") == [(1,)]
    assert stored_rejects(pipeline) == [(nested, "address.floor")]


@pytest.mark.parametrize(("extra", "kept"), [("allow", ["id", "city"]), ("ignore", ["id"])])
def test_without_a_contract_the_model_decides_on_unknown_fields(
    pipeline: dlt.Pipeline, extra: Any, kept: list[str]
) -> None:
    class Own(BaseModel):
        model_config = ConfigDict(extra=extra)
        id: int

    pipeline.run(MORE, table_name="users", columns=Own)
    pipeline.run(MORE, table_name="others", columns=Own, schema_contract={"columns": "discard_value"})

    assert sorted(columns(pipeline, "users")) == sorted({*kept, "name"} if extra == "allow" else kept)
    assert list(columns(pipeline, "others")) == ["id"]


def test_a_model_that_forbids_unknown_fields_freezes_columns(pipeline: dlt.Pipeline) -> None:
    class Strict(User):
        model_config = ConfigDict(extra="forbid")

    assert violation(pipeline, MORE, columns=Strict).contract == "columns"
    pipeline.run(MORE, table_name="users", columns=Strict, schema_contract={"columns": "discard_value"})


# --- discard_row -------------------------------------------------------------------------------------------------


def test_rows_that_do_not_validate_are_rejected_with_their_cause(warehouse: dlt.Pipeline) -> None:
    bad = [{"id": "x", "name": None}, {"id": 4}]

    info = warehouse.run(
        [{"id": "1", "name": "Ada"}, bad[0], {"id": 3, "name": "Cy"}, bad[1]],
        table_name="users",
        columns=User,
        schema_contract={"data_type": "discard_row"},
    )

    assert loaded(warehouse, "users", "id", "name") == [(1, "Ada"), (3, "Cy")]
    assert stored_rejects(warehouse) == [(bad[0], "id"), (bad[1], "name")]
    report = info.resources["users"]
    assert (report.rows_loaded, report.rows_rejected, report.total_rows) == (2, 2, 2)
    assert report.rejects[0].cause == (
        "the schema contract says data_type='discard_row', and model User says of 'id': input should be a valid integer, "
        "unable to parse string as an integer; found 'x'; and of 'name': input should be a valid string; found None"
    )


def test_a_bad_value_beside_an_unknown_field_goes_by_the_stricter_mode(pipeline: dlt.Pipeline) -> None:
    contract = {"columns": "discard_row", "data_type": "freeze"}

    assert violation(pipeline, [{"id": "x", "name": "Ada", "city": 1}], schema_contract=contract).contract == "data_type"


def test_a_model_that_turns_most_rows_away_fails_the_load(pipeline: dlt.Pipeline) -> None:
    many = [{"id": number, "name": None} for number in range(1_200)]

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(many, table_name="users", columns=User, schema_contract={"data_type": "discard_row"})

    assert isinstance(caught.value.__cause__, TooManyRejectsError)


def test_rejects_of_a_table_that_rows_choose_name_that_table(pipeline: dlt.Pipeline) -> None:
    events = dlt.resource(
        [{"id": 1, "name": "opened"}, {"id": "x", "name": "closed"}, {"id": "y"}],
        name="events",
        table_name=lambda row: row["name"],
        columns=User,
        schema_contract={"data_type": "discard_row"},
    )

    info = pipeline.run(events)

    assert [reject.table for reject in info.resources["events"].rejects] == ["closed", "events"]


# --- evolve, discard_value ---------------------------------------------------------------------------------------


def test_rows_that_do_not_validate_load_as_they_are_if_types_evolve(pipeline: dlt.Pipeline) -> None:
    data = [{"id": "1", "name": "Ada"}, {"id": "x", "name": "Bo", "city": "Oslo"}, {"name": 5}]

    pipeline.run(data, table_name="users", columns=User, schema_contract={"data_type": "evolve"})

    assert loaded(pipeline, "users", "id", "id__v_text", "name") == [(1, None, "Ada"), (None, "x", "Bo"), (None, None, "5")]
    assert "city" not in columns(pipeline, "users")


def test_an_evolving_contract_takes_everything_in_under_the_names_of_columns(pipeline: dlt.Pipeline) -> None:
    class Reading(BaseModel):
        celsius: float = Field(validation_alias="tempC")

    pipeline.run([{"tempC": "warm", "room": "attic"}], table_name="readings", columns=Reading, schema_contract="evolve")

    assert loaded(pipeline, "readings", "celsius__v_text", "room") == [("warm", "attic")]


def test_values_cannot_be_left_out_by_a_model(pipeline: dlt.Pipeline) -> None:
    @dlt.source(schema_contract="discard_value")
    def shop():
        return dlt.resource([], name="users", columns=User)

    contract = {"data_type": "discard_value"}
    with pytest.raises(DeclarationError, match="single values cannot be left out"):
        dlt.resource([], name="users", columns=User, schema_contract=contract)
    with pytest.raises(DeclarationError, match="Choose 'freeze', 'discard_row' or 'evolve'"):
        dlt.resource([], name="users", schema_contract=contract).apply_hints(columns=User)
    with pytest.raises(DeclarationError, match="single values cannot be left out"):
        list(shop().resources)
    with pytest.raises(DeclarationError, match="single values cannot be left out"):
        pipeline.run([], table_name="users", columns=User, schema_contract=contract)


def test_a_declared_contract_goes_before_that_of_the_model(pipeline: dlt.Pipeline) -> None:
    @dlt.source(schema_contract={"columns": "evolve"})
    def shop():
        return dlt.resource(MORE, name="users", columns=User)

    assert shop().resources["users"].schema_contract == {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}
    pipeline.run(shop())
    assert loaded(pipeline, "users", "city") == [("Lisbon",)]
    with pytest.raises(PipelineStepFailed, match="columns='freeze'"):
        pipeline.run(shop(), schema_contract={"columns": "freeze"})


def test_a_field_that_is_new_in_the_model_is_a_new_column_under_any_contract(pipeline: dlt.Pipeline) -> None:
    class Longer(User):
        city: str | None = None
        more: Any = None

    pipeline.run([{"id": 1, "name": "Ada"}], table_name="users", columns=User)
    pipeline.run(
        [{"id": 2, "name": "Bo", "city": "Oslo", "more": 1}],
        table_name="users",
        columns=Longer,
        schema_contract={"columns": "freeze", "data_type": "freeze"},
    )

    assert loaded(pipeline, "users", "id", "city", "more") == [(1, None, None), (2, "Oslo", 1)]


# --- where models are declared -----------------------------------------------------------------------------------

BAD = {"id": "x", "name": "y"}


def test_models_hold_wherever_columns_are_declared(pipeline: dlt.Pipeline) -> None:
    @dlt.resource(columns=User)
    def decorated() -> Iterator[Any]:
        yield BAD

    @dlt.transformer(data_from=dlt.resource([1], name="numbers"), columns=User)
    def transformed(number: int) -> Iterator[Any]:
        yield [BAD]

    @dlt.source
    def dynamic():
        for name in ("first", "second"):
            yield dlt.resource([BAD], name=name, columns=User)

    hinted = dlt.resource([BAD], name="hinted").apply_hints(columns=User)
    for data in (decorated, transformed, dynamic(), hinted):
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(data)
        assert isinstance(caught.value.__cause__, DataValidationError)


def test_a_parent_with_a_model_hands_on_what_the_model_made(pipeline: dlt.Pipeline) -> None:
    users = dlt.resource([[{"id": "1", "name": "Ada"}, BAD]], name="users", columns=User)
    users.apply_hints(schema_contract={"data_type": "discard_row"})

    @dlt.transformer(data_from=users)
    def doubled(page: list[dict[str, Any]]) -> Iterator[Any]:
        yield [{"id": user["id"] * 2} for user in page]

    info = pipeline.run(doubled)

    assert loaded(pipeline, "doubled", "id") == [(2,)]
    assert [(reject.resource, reject.column) for reject in info.resources["doubled"].rejects] == [("users", "id")]


def test_steps_come_before_the_model_and_the_cursor_after_it(pipeline: dlt.Pipeline) -> None:
    class Change(BaseModel):
        id: int
        at: datetime

    @dlt.resource(columns=Change, schema_contract={"data_type": "discard_row"}, write_disposition="append")
    def changes(
        newest: str, at=dlt.sources.incremental("at", initial_value=datetime(2024, 1, 1, tzinfo=UTC))
    ) -> Iterator[Any]:
        yield {"key": 1, "at": "2024-01-02T00:00:00Z"}
        yield [
            {"key": 2, "at": newest},
            {"key": "x", "at": "2030-01-01T00:00:00Z"},
            {"key": 3, "at": "2020-01-01T00:00:00Z"},
        ]

    def renamed(newest: str) -> Any:
        return changes(newest).add_map(lambda row: {"id": row["key"], "at": row["at"]})

    pipeline.run(renamed("2024-01-03T00:00:00Z"))
    info = pipeline.run(renamed("2024-01-04T00:00:00Z"))

    assert sorted(loaded(pipeline, "changes", "id")) == [(1,), (2,), (2,)]
    assert info.resources["changes"].cursor_after == "2024-01-04T00:00:00+00:00"


def test_a_cursor_of_another_type_than_the_model_makes_is_told(pipeline: dlt.Pipeline) -> None:
    class Change(BaseModel):
        at: datetime

    changes = dlt.resource([{"at": "2024-01-02T00:00:00Z"}], name="changes", columns=Change)
    changes.apply_hints(incremental=dlt.sources.incremental("at", initial_value="2024-01-01T00:00:00Z"))

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(changes)
    assert isinstance(caught.value.__cause__, CursorValueError)


def test_a_merge_finds_rows_by_the_key_as_the_model_reads_it(pipeline: dlt.Pipeline) -> None:
    for key, name in ((1, "Ada"), ("1", "Eve")):
        users = dlt.resource([{"id": key, "name": name}], name="users", primary_key="id", write_disposition="merge")
        pipeline.run(users.apply_hints(columns=User))

    assert loaded(pipeline, "users", "id", "name") == [(1, "Eve")]


def test_looking_at_a_resource_shows_what_the_model_makes() -> None:
    users = dlt.resource([{"id": "1", "name": "Ada"}, BAD], name="users", columns=User)

    assert list(users.apply_hints(schema_contract={"data_type": "discard_row"})) == [{"id": 1, "name": "Ada", "age": None}]


@pytest.mark.parametrize("as_pages", [True, False])
def test_records_validate_alike_one_by_one_and_in_pages(pipeline: dlt.Pipeline, as_pages: bool) -> None:
    data = [{"id": str(number), "name": "x" if number % 7 else None, "age": number} for number in range(200)]

    @dlt.resource(columns=User, schema_contract={"data_type": "discard_row"})
    def users() -> Iterator[Any]:
        yield from ([data[:100], data[100:]] if as_pages else data)

    info = pipeline.run(users)

    assert loaded(pipeline, "users", "id", "age") == [(number, number) for number in range(200) if number % 7]
    assert info.resources["users"].rows_rejected == 29


def test_frames_take_the_columns_of_a_model_and_are_not_validated(pipeline: dlt.Pipeline) -> None:
    frame = pa.table({"id": ["1", "2"], "name": ["Ada", "Bo"]})

    pipeline.run(dlt.resource([frame], name="users", columns=User))

    assert columns(pipeline, "users") == {"id": ("bigint", False), "name": ("text", False), "age": ("bigint", True)}
    assert loaded(pipeline, "users", "id") == [(1,), (2,)]


# --- instances as records ----------------------------------------------------------------------------------------


class Aliased(BaseModel):
    key: int = Field(alias="keyId")
    site: HttpUrl | None = None
    address: Address | None = None


@dataclasses.dataclass
class Point:
    x: int
    label: str
    address: Address | None = None


class Pair(NamedTuple):
    x: int
    label: str


def test_instances_of_models_are_records(pipeline: dlt.Pipeline) -> None:
    def things() -> Iterator[Any]:
        yield Aliased(keyId=1, site="https://example.org", address=Address(street="x"))
        yield [Aliased(keyId=2), {"keyId": 3}]

    pipeline.run(things)

    found = loaded(pipeline, "things", "key_id", "site", "address__street")
    assert found == [(1, "https://example.org/", "x"), (2, None, None), (3, None, None)]


@pytest.mark.parametrize("make", [Point, Pair])
def test_dataclasses_and_named_tuples_are_records(pipeline: dlt.Pipeline, make: Any) -> None:
    points = dlt.resource([make(1, "a"), make(2, "b"), [make(3, "c")]], name="points")

    pipeline.run(points.add_filter(lambda point: point.x != 2))

    assert loaded(pipeline, "points", "x", "label") == [(1, "a"), (3, "c")]


def test_a_cursor_reads_the_fields_of_instances(pipeline: dlt.Pipeline) -> None:
    users = dlt.resource([User(id=1, name="Ada"), User(id=2, name="Bo")], name="users")

    info = pipeline.run(users.apply_hints(incremental=dlt.sources.incremental("id", initial_value=2)))

    assert (info.resources["users"].rows_loaded, info.resources["users"].cursor_after) == (1, 2)


def test_a_transformer_gets_instances_as_they_are(pipeline: dlt.Pipeline) -> None:
    @dlt.transformer(data_from=dlt.resource([User(id=1, name="Ada")], name="users"))
    def names(user: User) -> Iterator[Any]:
        yield {"name": user.name}

    pipeline.run(names)

    assert loaded(pipeline, "names", "name") == [("Ada",)]


def test_a_model_takes_its_own_instances_and_judges_others_by_their_fields(pipeline: dlt.Pipeline) -> None:
    class Key(BaseModel):
        x: int

    data = [Key(x=1), Point("2", "b"), Pair("3", "c"), {"x": "4"}, Point("five", "e")]  # type: ignore[arg-type]

    pipeline.run(dlt.resource([data], name="keys", columns=Key), schema_contract={"data_type": "discard_row"})

    assert loaded(pipeline, "keys", "x") == [(1,), (2,), (3,), (4,)]
    assert stored_rejects(pipeline) == [({"x": "five", "label": "e", "address": None}, "x")]


@pytest.mark.parametrize("one", [User(id=1, name="Ada"), Point(1, "a"), Pair(1, "a")])
def test_one_instance_is_no_list_of_records(one: Any) -> None:
    with pytest.raises(InvalidResourceDataError, match="Enclose it in a list if it is one record"):
        dlt.resource(one, name="things")


# --- marks, and steps behind the cursor --------------------------------------------------------------------------


def test_a_model_holds_for_marked_records_and_rejects_name_the_marked_table(pipeline: dlt.Pipeline) -> None:
    @dlt.resource(columns=User, schema_contract={"data_type": "discard_row"})
    def users() -> Iterator[Any]:
        yield mark.with_table_name({"id": "1", "name": "Ada"}, "guests")
        yield mark.with_table_name([{"id": "2", "name": "Grace"}, {"id": "x", "name": "Eve"}], "guests")
        yield [mark.with_table_name(User(id=3, name="Mary"), "guests"), {"id": "4", "name": "Joan"}]

    pipeline.run(users)

    assert loaded(pipeline, "guests", "id", "name") == [(1, "Ada"), (2, "Grace"), (3, "Mary")]
    assert loaded(pipeline, "users", "id", "name") == [(4, "Joan")]
    assert stored_rejects(pipeline) == [({"id": "x", "name": "Eve"}, "id")]
    assert pipeline.dataset()["_dlt_rejects"].select("table_name").fetchall() == [("guests",)]
    assert [user["id"] for user in users] == [1, 2, 3, 4]


def test_an_empty_table_is_made_as_its_model_says(pipeline: dlt.Pipeline) -> None:
    pipeline.run(dlt.resource(lambda: iter([mark.materialize_table_schema()]), name="users", columns=User))

    assert columns(pipeline, "users") == {"id": ("bigint", False), "name": ("text", False), "age": ("bigint", True)}


@pytest.mark.parametrize(
    ("of_resource", "of_mark", "told"),
    [
        ({}, {"columns": User}, "bring the model 'User'"),
        ({"columns": User}, {"schema_contract": "discard_row"}, "bring a schema contract"),
    ],
)
def test_hints_of_a_record_cannot_change_how_a_model_judges(
    pipeline: dlt.Pipeline, of_resource: dict[str, Any], of_mark: dict[str, Any], told: str
) -> None:
    marked = mark.with_hints({"id": 1, "name": "Ada"}, mark.make_hints(**of_mark))

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(dlt.resource(lambda: iter([marked]), name="users", **of_resource))

    assert isinstance(caught.value.__cause__, DeclarationError)
    assert told in str(caught.value)


def test_a_model_of_a_nested_table_is_refused() -> None:
    with pytest.raises(DeclarationError, match="its columns cannot be a pydantic model"):
        dlt.resource([], name="shop", nested_hints={"users": {"columns": User}})


def test_a_model_stands_behind_the_steps_behind_the_cursor(pipeline: dlt.Pipeline) -> None:
    pairs = [Pair(1, "a"), [Pair(2, "b")]]
    users = dlt.resource(lambda: iter(pairs), name="users", columns=User, incremental=dlt.sources.incremental("x"))
    users.add_map(lambda pair: {"id": str(pair["x"]), "name": pair["label"]}, insert_at=2)

    info = pipeline.run(users)

    assert loaded(pipeline, "users", "id", "name") == [(1, "a"), (2, "b")]
    assert info.resources["users"].cursor_after == 2
