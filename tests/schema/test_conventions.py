"""Naming conventions read keys as those of dlt do: what stands here was measured with dlt 1.31."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlt_orchestrate.errors import UnknownNamingConventionError
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import CONVENTIONS, canonical_name, convention_named
from dlt_orchestrate.schema.naming import Naming, naming_for

MEASURED = ("snake_case", "direct", "duck_case", "sql_ci_v1", "sql_cs_v1")


def named(convention: str, *, longest: int = 65_536) -> Naming:
    return naming_for(convention, Capabilities(max_identifier_length=longest))


IDENTIFIERS = {
    "MyName": ("my_name", "MyName", "MyName", "myname", "MyName"),
    "HTTPServer": ("http_server", "HTTPServer", "HTTPServer", "httpserver", "HTTPServer"),
    "userID": ("user_id", "userID", "userID", "userid", "userID"),
    "ABc": ("a_bc", "ABc", "ABc", "abc", "ABc"),
    "a1B2": ("a1_b2", "a1B2", "a1B2", "a1b2", "a1B2"),
    "camelCaseABCd": ("camel_case_ab_cd", "camelCaseABCd", "camelCaseABCd", "camelcaseabcd", "camelCaseABCd"),
    "My-Name": ("my_name", "My-Name", "My-Name", "my_name", "My_Name"),
    "a.b": ("a_b", "a.b", "a.b", "a_b", "a_b"),
    "a/b": ("a_b", "a/b", "a/b", "a_b", "a_b"),
    "a%%b??": ("a_bx", "a%%b??", "a%%b??", "a_b", "a_b"),
    "a$b": ("a_b", "a$b", "a$b", "a_b", "a_b"),
    "a😀b": ("a_b", "a😀b", "a😀b", "a_b", "a_b"),
    "a@b#c": ("aab_c", "a@b#c", "a@b#c", "a_b_c", "a_b_c"),
    "a+1": ("ax1", "a+1", "a+1", "a_1", "a_1"),
    "a*b": ("axb", "a*b", "a*b", "a_b", "a_b"),
    "+1": ("x1", "+1", "+1", "_1", "_1"),
    "-1": ("_1", "-1", "-1", "_1", "_1"),
    "value%": ("valuex", "value%", "value%", "value", "value"),
    "is_a?": ("is_ax", "is_a?", "is_a?", "is_a", "is_a"),
    "url?x=1": ("url_x_1", "url?x=1", "url?x=1", "url_x_1", "url_x_1"),
    "1abc": ("_1abc", "1abc", "1abc", "_1abc", "_1abc"),
    "a_": ("ax", "a_", "a_", "a", "a"),
    "a__": ("axx", "a__", "a_", "a", "a"),
    "_": ("x", "_", "_", "_", "_"),
    "__a": ("_a", "__a", "_a", "_a", "_a"),
    "a__b": ("a_b", "a__b", "a_b", "a_b", "a_b"),
    "A__B": ("a_b", "A__B", "A_B", "a_b", "A_B"),
    "a___b": ("a_b", "a___b", "a_b", "a_b", "a_b"),
    "traffic/clones": ("traffic_clones", "traffic/clones", "traffic/clones", "traffic_clones", "traffic_clones"),
    "My Data-Set 1": ("my_data_set_1", "My Data-Set 1", "My Data-Set 1", "my_data_set_1", "My_Data_Set_1"),
    "Pipe Name!": ("pipe_namex", "Pipe Name!", "Pipe Name!", "pipe_name", "Pipe_Name"),
    "naïve": ("na_ve", "naïve", "naïve", "na_ve", "na_ve"),
    "ąęó": ("x", "ąęó", "ąęó", "_", "_"),
    "日本": ("x", "日本", "日本", "_", "_"),
    "NaïveÄrger": ("na_ve_rger", "NaïveÄrger", "NaïveÄrger", "na_ve_rger", "Na_ve_rger"),
    "Straße": ("stra_e", "Straße", "Straße", "stra_e", "Stra_e"),
    "İstanbul": ("_stanbul", "İstanbul", "İstanbul", "_stanbul", "_stanbul"),
    "😀": ("x", "😀", "😀", "_", "_"),
    "😀a": ("_a", "😀a", "😀a", "_a", "_a"),
    " a ": ("a", "a", "a", "a", "a"),
    'a"b': ("a_b", "a_b", "a_b", "a_b", "a_b"),
    "a'b": ("a_b", "a_b", "a'b", "a_b", "a_b"),
    "a\nb": ("a_b", "a_b", "a_b", "a_b", "a_b"),
    "a▶b": ("a_b", "a_b", "a▶b", "a_b", "a_b"),
    "▶a": ("_a", "_a", "▶a", "_a", "_a"),
    "a▶▶b": ("a_b", "a__b", "a▶▶b", "a_b", "a_b"),
    "SELECT": ("select", "SELECT", "SELECT", "select", "SELECT"),
    "123": ("_123", "123", "123", "_123", "_123"),
    "$$": ("x", "$$", "$$", "_", "_"),
    "a|b": ("alb", "a|b", "a|b", "a_b", "a_b"),
    "**": ("xx", "**", "**", "_", "_"),
    "é": ("x", "é", "é", "_", "_"),
    "ID": ("id", "ID", "ID", "id", "ID"),
    "iD": ("i_d", "iD", "iD", "id", "iD"),
    "½": ("x", "½", "½", "_", "_"),
    "٣a": ("_٣a", "٣a", "٣a", "_٣a", "_٣a"),
    "e\u0301": ("ex", "e\u0301", "e\u0301", "e", "e"),
    "a\u200bb": ("a_b", "a\u200bb", "a\u200bb", "a_b", "a_b"),
    "a__1": ("a_1", "a__1", "a_1", "a_1", "a_1"),
    "_dlt_id": ("_dlt_id",) * 5,
    "_dlt_load_id": ("_dlt_load_id",) * 5,
    "_dlt_list_idx": ("_dlt_list_idx",) * 5,
    "_dlt_loads": ("_dlt_loads",) * 5,
    "a__ __b": ("a_b", "a__ __b", "a_ _b", "a_b", "a_b"),
    "1A": ("_1_a", "1A", "1A", "_1a", "_1A"),
    "a--b": ("a_b", "a--b", "a--b", "a_b", "a_b"),
    "a%_": ("axx", "a%_", "a%_", "a", "a"),
    "Mixed_Case-Name": ("mixed_case_name", "Mixed_Case-Name", "Mixed_Case-Name", "mixed_case_name", "Mixed_Case_Name"),
    "[0]": ("_0x", "[0]", "[0]", "_0", "_0"),
    "ünïcode_Näme": ("_n_code_n_me", "ünïcode_Näme", "ünïcode_Näme", "_n_code_n_me", "_n_code_N_me"),
    "a\u00a0b": ("a_b", "a\u00a0b", "a\u00a0b", "a_b", "a_b"),
}

PATHS = {
    ("a__b",): ("a__b", "a__b", "a__b", "a__b", "a__b"),
    ("A__B",): ("a__b", "A__B", "A__B", "a__b", "A__B"),
    ("a___b",): ("a___b", "a___b", "a___b", "a___b", "a___b"),
    ("a__",): ("a", "a__", "a", "a", "a"),
    ("__a",): ("a", "__a", "a", "a", "a"),
    ("a▶b",): ("a_b", "a▶b", "a▶b", "a_b", "a_b"),
    ("▶a",): ("_a", "a", "▶a", "_a", "_a"),
    ("a▶▶b",): ("a_b", "a▶b", "a▶▶b", "a_b", "a_b"),
    ("a__1",): ("a___1", "a__1", "a__1", "a___1", "a___1"),
    ("__1",): ("_1", "__1", "1", "_1", "_1"),
    ("",): ("_empty",) * 5,
    ("\t",): ("_empty",) * 5,
    ("obj", "innerKey"): ("obj__inner_key", "obj▶innerKey", "obj__innerKey", "obj__innerkey", "obj__innerKey"),
    ("obj", "b c"): ("obj__b_c", "obj▶b c", "obj__b c", "obj__b_c", "obj__b_c"),
    ("reactions", "+1"): ("reactions__x1", "reactions▶+1", "reactions__+1", "reactions___1", "reactions___1"),
    ("reactions", "-1"): ("reactions___1", "reactions▶-1", "reactions__-1", "reactions___1", "reactions___1"),
    ("My Orders", "orderLines", "sub List"): (
        "my_orders__order_lines__sub_list",
        "My Orders▶orderLines▶sub List",
        "My Orders__orderLines__sub List",
        "my_orders__orderlines__sub_list",
        "My_Orders__orderLines__sub_List",
    ),
}


@pytest.mark.parametrize("key", IDENTIFIERS)
def test_a_key_reads_as_in_dlt(key: str) -> None:
    assert tuple(named(convention).dataset(key) for convention in MEASURED) == IDENTIFIERS[key]


@pytest.mark.parametrize("keys", PATHS)
def test_a_path_reads_as_in_dlt(keys: tuple[str, ...]) -> None:
    assert tuple(named(convention).path(keys) for convention in MEASURED) == PATHS[keys]
    assert tuple(named(convention).table(keys) for convention in MEASURED) == PATHS[keys]


@pytest.mark.parametrize(
    ("key", "column", "table"),
    [("_A", "_a", "a"), ("1abc", "_1abc", "1abc"), ("-1", "_1", "1"), ("_dlt_loads", "_dlt_loads", "dlt_loads")],
)
def test_tables_of_s3_begin_with_no_underscore(key: str, column: str, table: str) -> None:
    names = named("s3_tables")

    assert (names.path((key,)), names.table((key,)), names.dataset(key)) == (column, table, table)
    assert names.max_length == 255


# --- unicode_snake_case ------------------------------------------------------------------------------------------


@given(st.text(string.printable, min_size=1, max_size=20))
def test_our_convention_agrees_with_that_of_dlt_on_ascii(key: str) -> None:
    ours, of_dlt = named("unicode_snake_case"), named("snake_case")

    assert ours.dataset(key) == of_dlt.dataset(key)
    assert ours.path((key, key)) == of_dlt.path((key, key))
    assert named("unicode_snake_case", longest=12).path((key, key)) == named("snake_case", longest=12).path((key, key))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("naïve", "naïve"),
        ("NaïveÄrger", "naïveärger"),
        ("Größe in m", "größe_in_m"),
        ("日本", "日本"),
        ("हिन्दी", "हिन्दी"),
        ("ชื่อ", "ชื่อ"),
        ("İstanbul", "i̇stanbul"),
        ("e\u0301", "é"),
        ("a😀b", "a_b"),
        ("❤️", "x"),
        ("1️⃣", "_1x"),
        ("٣a", "_٣a"),
        ("\u0301a", "_a"),
    ],
)
def test_letters_of_every_script_stay(key: str, name: str) -> None:
    assert named("unicode_snake_case").dataset(key) == name


# --- laws of all conventions -------------------------------------------------------------------------------------

_conventions = st.sampled_from(sorted(CONVENTIONS))
_keys = st.text(st.sampled_from("aA_bB -+é日İ1²٣▶\"'\n\u0301😀%") | st.characters(), max_size=8)


@given(_conventions, _keys)
@example("sql_cs_v1", "_%")
@example("s3_tables", "__")
@example("unicode_snake_case", "İ")
def test_a_name_that_is_read_again_stays(convention: str, key: str) -> None:
    name = named(convention).dataset(key)

    assert named(convention).dataset(name) == name


@given(_conventions, _keys, _keys)
def test_a_name_of_a_path_that_is_read_again_stays(convention: str, above: str, key: str) -> None:
    names = named(convention)
    if "_" in (names.dataset(above), names.dataset(key)):
        return  # what is left of such a key joins the separator, as in dlt
    name = names.path((above, key))

    assert names.path((name,)) == name


@given(_conventions, st.lists(_keys, min_size=1, max_size=3), st.sampled_from([7, 12, 63, 65_536]))
def test_a_name_is_never_empty_and_never_too_long(convention: str, keys: list[str], longest: int) -> None:
    names = named(convention, longest=longest)

    for name in (names.path(tuple(keys)), names.table(tuple(keys)), names.dataset(keys[0])):
        assert 1 <= len(name) <= longest


@given(st.sampled_from(["snake_case", "sql_ci_v1", "sql_cs_v1", "s3_tables"]), _keys)
def test_names_of_the_plain_conventions_are_letters_digits_and_underscores(convention: str, key: str) -> None:
    name = named(convention).path((key,))

    assert all(character in string.ascii_letters + "_" or character.isdecimal() for character in name)
    assert not name[0].isdecimal()


@given(_conventions, _keys)
def test_no_name_holds_what_a_database_refuses(convention: str, key: str) -> None:
    name = named(convention).path((f"{key}\0\ud800{key}",))

    assert "\0" not in name
    assert name.encode("utf-8")


# --- length ------------------------------------------------------------------------------------------------------

LONG = "AVeryLongName for a Column_" + "x" * 40


@pytest.mark.parametrize(
    ("convention", "of_key", "of_path", "of_ten_keys"),
    [
        ("snake_case", "a_very_lpdclaxxxxxxx", "a_very_jligtg__short", "inner_kb8vzoqer_key9"),
        ("direct", "AVeryLolpdclaxxxxxxx", "AVeryLojligtg__Short", "innerKe0gaqdwnerKey9"),
        ("duck_case", "AVeryLolpdclaxxxxxxx", "AVeryLojligtg__Short", "innerKerkwdygnerKey9"),
        ("sql_ci_v1", "averylolpdclaxxxxxxx", "averylojligtg__short", "innerkearmi5anerkey9"),
        ("sql_cs_v1", "AVeryLolpdclaxxxxxxx", "AVeryLojligtg__Short", "innerKerkwdygnerKey9"),
    ],
)
def test_a_long_name_is_shortened_as_in_dlt(convention: str, of_key: str, of_path: str, of_ten_keys: str) -> None:
    names = named(convention, longest=20)

    assert names.dataset(LONG) == of_key
    assert names.path((f"{LONG}__Short",)) == of_path
    assert names.path(tuple(f"innerKey{number}" for number in range(10))) == of_ten_keys


def test_long_names_of_nested_tables_are_those_of_dlt() -> None:
    names = named("snake_case", longest=20)

    assert [
        names.path(("o", "averyverylong", "another")),
        names.table(("tabletabletable", "listofallthings")),
        names.table(("tabletabletable", "listofallthings", "sub list a")),
        names.table(("tabletabletable", "o", "averyverylong", "l")),
    ] == ["o__averoztasaanother", "tabletaacbbdwlthings", "tabletaqb3vwq_list_a", "tabletarg5uzqlong__l"]


# --- which convention --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "direct",
        "dlt.common.normalizers.naming.direct",
        "dlt.common.normalizers.names.direct",
        "dlt.common.normalizers.naming.direct.NamingConvention",
    ],
)
def test_a_convention_of_dlt_is_known_by_its_module_too(name: str) -> None:
    assert canonical_name(name) == "direct"
    assert convention_named(name, said_by="a test") is CONVENTIONS["direct"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("snake", "there is no module 'snake'. Nothing"),
        ("dlt.destinations.impl.weaviate.naming", "there is no module"),
        ("", "there is no module ''"),
        ("json", "module 'json' has no class 'NamingConvention' that derives from"),
        ("json.decoder.JSONDecoder", "module 'json.decoder' has no class 'JSONDecoder' that derives from"),
    ],
)
def test_an_unknown_convention_is_named_with_where_it_stands(name: str, problem: str) -> None:
    with pytest.raises(UnknownNamingConventionError) as caught:
        convention_named(name, said_by="the stored schema of source 'shop'")

    assert caught.value.name == name
    assert f"Naming convention {name!r}, named by the stored schema of source 'shop', cannot be used" in str(caught.value)
    assert problem in str(caught.value)
    assert "Known are: unicode_snake_case, snake_case, direct" in str(caught.value)
