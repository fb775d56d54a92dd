"""Which naming convention a dataset goes by: configured, stored or preferred; and what lands under each."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import NamingConventionConflictError, UnknownNamingConventionError
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES
from dlt_orchestrate.protocols.naming import NamingConvention, SqlCaseSensitive

ORDERS = [
    {
        "Id": 1,
        "userName": "Ada",
        "naïve": "x",
        "1x": True,
        "tail_": 9,
        "": "e",
        "Zahl": 1,
        "obj": {"innerKey": 1, "b c": 2},
        "orderLines": [{"Sku": "s", "sub List": [1, 2]}],
    },
    {"Id": 2, "Zahl": "zwei"},
]

# Measured with dlt 1.31, but for `unicode_snake_case`.
LANDED = {
    "unicode_snake_case": {
        "shop_data.my_orders": "id user_name naïve _1x tailx _empty zahl zahl__v_text obj__inner_key obj__b_c",
        "shop_data.my_orders__order_lines": "sku",
        "shop_data.my_orders__order_lines__sub_list": "value",
    },
    "snake_case": {
        "shop_data.my_orders": "id user_name na_ve _1x tailx _empty zahl zahl__v_text obj__inner_key obj__b_c",
        "shop_data.my_orders__order_lines": "sku",
        "shop_data.my_orders__order_lines__sub_list": "value",
    },
    "direct": {
        "Shop Data.My Orders": "Id userName naïve 1x tail_ _empty Zahl Zahl▶v_text obj▶innerKey obj▶b~c",
        "Shop Data.My Orders▶orderLines": "Sku",
        "Shop Data.My Orders▶orderLines▶sub List": "value",
    },
    "duck_case": {
        "Shop Data.My Orders": "Id userName naïve 1x tail_ _empty Zahl Zahl__v_text obj__innerKey obj__b~c",
        "Shop Data.My Orders__orderLines": "Sku",
        "Shop Data.My Orders__orderLines__sub List": "value",
    },
    "sql_ci_v1": {
        "shop_data.my_orders": "id username na_ve _1x tail _empty zahl zahl__v_text obj__innerkey obj__b_c",
        "shop_data.my_orders__orderlines": "sku",
        "shop_data.my_orders__orderlines__sub_list": "value",
    },
    "sql_cs_v1": {
        "Shop_Data.My_Orders": "Id userName na_ve _1x tail _empty Zahl Zahl__v_text obj__innerKey obj__b_c",
        "Shop_Data.My_Orders__orderLines": "Sku",
        "Shop_Data.My_Orders__orderLines__sub_List": "value",
    },
}


def shop_pipeline(dataset: str = "Shop Data", name: str = "shop") -> dlt.Pipeline:
    return dlt.pipeline(name, destination="duckdb", dataset_name=dataset)


def landed(file: Path) -> dict[str, set[str]]:
    """The columns of each table, without those of the system."""
    with duckdb.connect(str(file)) as connection:
        found = connection.execute(
            "SELECT schema_name || '.' || table_name, list(column_name) FROM duckdb_columns() "
            "WHERE NOT internal AND table_name NOT LIKE '\\_dlt%' ESCAPE '\\' GROUP BY ALL"
        ).fetchall()
    return {table: {name for name in columns if not name.startswith("_dlt_")} for table, columns in found}


@dlt.source
def shop():
    return dlt.resource([{"userId": 1}], name="Orders")


def columns(pipeline: dlt.Pipeline, table: str) -> list[str]:
    return [name for name in pipeline.dataset()[table].columns if not name.startswith("_dlt_")]


@pytest.mark.parametrize("convention", LANDED)
def test_tables_and_columns_are_named_by_the_configured_convention(
    project: Path, monkeypatch: pytest.MonkeyPatch, convention: str
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", convention)
    pipeline = shop_pipeline()

    info = pipeline.run(ORDERS, table_name="My Orders")
    pipeline.run(ORDERS, table_name="My Orders")

    wanted = {table: set(names.split(" ")) for table, names in LANDED[convention].items()}
    assert landed(project / "shop.duckdb") == {
        table: {name.replace("~", " ") for name in names} for table, names in wanted.items()
    }
    assert pipeline.schemas["shop"].naming == convention
    assert info.resources["My Orders"].warnings == ()
    assert pipeline.dataset().row_counts() == {
        table.partition(".")[2]: rows for table, rows in zip(LANDED[convention], (4, 2, 4), strict=True)
    }
    assert {*SYSTEM_TABLES} < set(pipeline.dataset().tables)


# --- where the setting stands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "dataset", "column"),
    [
        ('[schema]\nnaming = "sql_cs_v1"', "My_Data", "userId"),
        ('[sources.shop.schema]\nnaming = "sql_cs_v1"', "my_data", "userId"),
        ('[sources.schema]\nnaming = "sql_cs_v1"', "My_Data", "userId"),
        ('[other.schema]\nnaming = "sql_cs_v1"', "my_data", "user_id"),
        ('[pipe.schema]\nnaming = "sql_cs_v1"', "My_Data", "userId"),
        ('[schema]\nnaming = "direct"\n[sources.shop.schema]\nnaming = "sql_ci_v1"', "My Data", "userid"),
        ('[schema]\nnaming = "dlt.common.normalizers.naming.direct"', "My Data", "userId"),
        ('[schema]\nnaming = ""', "my_data", "user_id"),
        ('[sources.shop]\nnaming = "direct"', "my_data", "user_id"),
    ],
)
def test_the_setting_holds_for_a_pipeline_or_for_a_source(project: Path, config: str, dataset: str, column: str) -> None:
    (project / ".dlt").mkdir()
    (project / ".dlt" / "config.toml").write_text(config)
    pipeline = shop_pipeline("My Data", "pipe")

    info = pipeline.run(shop())

    assert pipeline.dataset_name == info.dataset_name == dataset
    assert columns(pipeline, info.resources["Orders"].table) == [column]


def test_a_destination_may_prefer_a_convention_and_the_configuration_goes_before_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = dlt.destinations.duckdb("shop.duckdb", naming_convention="direct")
    preferring = dlt.pipeline("first", destination=destination, dataset_name="First Data")
    preferring.run(shop())
    monkeypatch.setenv("SCHEMA__NAMING", "sql_ci_v1")
    configured = dlt.pipeline("second", destination=destination, dataset_name="Second Data")
    configured.run(shop())

    assert landed(project / "shop.duckdb") == {"First Data.Orders": {"userId"}, "second_data.orders": {"userid"}}


def test_a_setting_in_code_counts(project: Path) -> None:
    dlt.config["schema.naming"] = "duck_case"
    try:
        shop_pipeline().run(shop())
    finally:
        del dlt.config["schema.naming"]

    assert landed(project / "shop.duckdb") == {"Shop Data.Orders": {"userId"}}


# --- a dataset that exists ---------------------------------------------------------------------------------------


def test_a_dataset_keeps_its_convention_when_the_setting_goes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "sql_cs_v1")
    shop_pipeline("data").run(shop())
    monkeypatch.delenv("SCHEMA__NAMING")

    shop_pipeline("data").run(shop())

    assert landed(project / "shop.duckdb") == {"data.Orders": {"userId"}}
    assert shop_pipeline("data").dataset().Orders.count() == 2


def test_another_convention_than_the_stored_is_refused_before_anything_is_extracted(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = shop_pipeline("data")
    pipeline.run(shop())
    monkeypatch.setenv("SOURCES__SHOP__SCHEMA__NAMING", "direct")
    read: list[int] = []

    @dlt.source(name="shop")
    def again():
        read.append(1)
        return dlt.resource([{"userId": 2}], name="Orders")

    with pytest.raises(NamingConventionConflictError) as caught:
        pipeline.run(again())

    error = caught.value
    assert (error.source, error.dataset, error.stored, error.asked) == ("shop", "data", "unicode_snake_case", "direct")
    assert "key SOURCES__SHOP__SCHEMA__NAMING) asks for 'direct'" in str(error)
    assert "load into a new dataset (dataset_name=...)" in str(error)
    assert not read
    assert landed(project / "shop.duckdb") == {"data.orders": {"user_id"}}

    shop_pipeline("fresh").run(again())

    assert landed(project / "shop.duckdb") == {"data.orders": {"user_id"}, "fresh.Orders": {"userId"}}


def test_the_same_convention_by_another_name_is_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    shop_pipeline("data").run(shop())
    monkeypatch.setenv("SCHEMA__NAMING", "dlt_orchestrate.schema.conventions.Direct")

    shop_pipeline("data").run(shop())

    assert shop_pipeline("data").dataset().Orders.count() == 2


def test_a_new_source_goes_by_the_convention_of_the_sources_that_are_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "snake_case")
    shop_pipeline("data").run(shop())
    monkeypatch.delenv("SCHEMA__NAMING")
    pipeline = shop_pipeline("data")

    pipeline.run([shop(), dlt.resource([{"naïve": 1}], name="Extra")])
    pipeline.run([{"naïve": 1}], table_name="Later")

    assert columns(pipeline, "extra") == columns(pipeline, "later") == ["na_ve"]
    assert {schema.naming for schema in pipeline.schemas.values()} == {"snake_case"}


@pytest.mark.parametrize(("first", "second"), [("snake_case", "sql_cs_v1"), ("sql_cs_v1", "snake_case")])
def test_a_dataset_whose_name_differs_only_in_case_is_the_same_in_duckdb(
    project: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", first)
    shop_pipeline().run(shop())
    monkeypatch.setenv("SCHEMA__NAMING", second)

    with pytest.raises(NamingConventionConflictError, match=f"are named by the convention '{first}'"):
        shop_pipeline().run(shop())


# --- a convention of one's own -----------------------------------------------------------------------------------


class Loud(SqlCaseSensitive):
    """As people wrote names once."""

    def normalize_identifier(self, identifier: str) -> str:
        return super().normalize_identifier(identifier).upper()


@pytest.fixture
def own_module(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = project / "loud_names.py"
    module.write_text(
        "from dlt_orchestrate.protocols.naming import SqlCaseSensitive\n\n\n"
        "class NamingConvention(SqlCaseSensitive):\n"
        "    def normalize_identifier(self, identifier):\n"
        "        return super().normalize_identifier(identifier).upper()\n"
    )
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setenv("SCHEMA__NAMING", "loud_names")
    return module


def test_a_convention_of_ones_own_is_named_by_its_module_or_class(
    project: Path, own_module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_pipeline().run(ORDERS, table_name="My Orders")
    monkeypatch.setenv("SCHEMA__NAMING", "loud_names.NamingConvention")
    shop_pipeline().run(ORDERS, table_name="My Orders")

    tables = landed(project / "shop.duckdb")
    assert set(tables) == {
        "SHOP_DATA.MY_ORDERS", "SHOP_DATA.MY_ORDERS__ORDERLINES", "SHOP_DATA.MY_ORDERS__ORDERLINES__SUB_LIST"
    }  # fmt: skip
    assert tables["SHOP_DATA.MY_ORDERS"] >= {"ID", "USERNAME", "_1X", "OBJ__INNERKEY"}
    assert shop_pipeline().schemas["shop"].naming == "loud_names"
    assert shop_pipeline().dataset()["MY_ORDERS"].columns[-2:] == ["_dlt_load_id", "_dlt_id"]


def test_a_stored_convention_that_cannot_be_imported_is_told_before_anything_is_extracted(
    project: Path, own_module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_pipeline("data").run(shop())
    own_module.unlink()
    monkeypatch.delenv("SCHEMA__NAMING")
    monkeypatch.delitem(sys.modules, "loud_names")
    read: list[int] = []

    @dlt.source(name="shop")
    def again():
        read.append(1)
        return dlt.resource([{"userId": 2}], name="Orders")

    with pytest.raises(UnknownNamingConventionError, match="'loud_names', named by the stored schema of source 'shop'"):
        shop_pipeline("data").run(again())

    assert not read
    assert shop_pipeline("data").schemas["shop"].naming == "loud_names"


def test_an_unknown_convention_in_the_configuration_is_told_with_its_key(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "sneak_case")

    with pytest.raises(UnknownNamingConventionError) as caught:
        shop_pipeline().run(shop())

    assert "named by the configuration (Environment Variables, key SCHEMA__NAMING)" in str(caught.value)
    assert not (project / "shop.duckdb").exists()
    assert repr(shop_pipeline()).endswith("dataset_name='Shop Data')>")


def test_the_base_leaves_keys_as_they_are() -> None:
    assert NamingConvention().normalize_identifier("As it-is") == "As it-is"
    assert Loud().normalize_table_identifier("a b") == "A_B"


# --- names that differ only in case ------------------------------------------------------------------------------


def test_keys_that_differ_only_in_case_have_a_column_each_whatever_the_pages(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    caplog.set_level(logging.WARNING)
    rows = [{"Id": 1}, {"ID": 2}, {"id": 3, "ID": 4}]
    found = []
    for number, pages in enumerate(([rows], [rows[2:], rows[1:2], rows[:1]])):
        pipeline = shop_pipeline(f"data{number}")

        def paged(pages=pages):
            yield from pages

        info = pipeline.run(dlt.resource(paged, name="things"))
        table = pipeline.dataset().things.arrow().drop_columns(["_dlt_id", "_dlt_load_id"])
        found.append({name: sorted(filter(None, table[name].to_pylist())) for name in table.column_names})
        assert len(info.resources["things"].warnings) == 2

    assert found[0] == found[1]
    assert found[0].pop("ID") == [2, 4]
    assert {name[:3]: values for name, values in found[0].items()} == {"Id_": [1], "id_": [3]}
    assert "the name 'Id' of key 'Id' is taken by another key" in caplog.text


def test_a_name_stays_with_the_key_that_came_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    pipeline = shop_pipeline("data")
    pipeline.run([{"id": 1}], table_name="things")
    pipeline.run([{"ID": 2, "_DLT_ID": "mine"}], table_name="things")
    pipeline.run([{"ID": 3, "id": 4}], table_name="things")

    names = columns(pipeline, "things")
    assert [name[:8] for name in names] == ["id", names[1][:8], "_DLT_ID_"]
    assert names[1].startswith("ID_")
    assert pipeline.dataset().things.select(*names).fetchall() == [(1, None, None), (None, 2, "mine"), (4, 3, None)]


def test_tables_that_differ_only_in_case_are_two_in_one_source_and_over_sources(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    pipeline = shop_pipeline("data")

    @dlt.source
    def other():
        return dlt.resource([{"a": 3}], name="USERS")

    pipeline.run([dlt.resource([{"a": 1}], name="Users"), dlt.resource([{"a": 2}], name="users"), other()])
    pipeline.run(other())

    counts = pipeline.dataset().row_counts()
    assert counts.pop("USERS") == 2
    assert {name[:6]: rows for name, rows in counts.items()} == {"Users_": 1, "users_": 1}


@pytest.mark.parametrize("keys", [("Id", "ID"), ("ID", "Id")])
def test_a_hint_means_the_column_of_the_key_that_is_spelled_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    pipeline = shop_pipeline("data")

    pipeline.run(
        [dict.fromkeys(keys, 1)], table_name="things", columns={"Id": {"data_type": "text"}, "aBc": {"data_type": "text"}}
    )
    pipeline.run([{"abc": "x"}], table_name="things")

    types = {name: str(pipeline.dataset().things.arrow().schema.field(name).type) for name in columns(pipeline, "things")}
    assert types.pop("ID") == "int64"
    assert types.pop("aBc") == "string"
    (suffixed,) = (name for name in types if name.startswith("Id_"))
    assert types[suffixed] == "string"


def test_a_variant_column_keeps_clear_of_keys_that_differ_only_in_case(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "sql_cs_v1")
    pipeline = shop_pipeline("data")

    pipeline.run([{"n": 1, "N__V_TEXT": 7}, {"n": "one"}], table_name="things")

    assert sorted(columns(pipeline, "things")) == ["N__V_TEXT", "n", "n__v_text_2"]
    assert pipeline.dataset().things.where("n__v_text_2", "eq", "one").count() == 1
