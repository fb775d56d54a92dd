"""Keys become identifiers as in dlt for ASCII, and every key gets one of its own."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.schema.naming import NamingConvention, assign_names, shorten

SNAKE = NamingConvention("snake_case")
UNICODE = NamingConvention()

IDENTIFIERS = {
    "MyName": "my_name",
    "HTTPServer": "http_server",
    "userID": "user_id",
    "ABc": "a_bc",
    "a1B2": "a1_b2",
    "camelCaseABCd": "camel_case_ab_cd",
    "My-Name": "my_name",
    "a.b": "a_b",
    "a/b": "a_b",
    "a%%b??": "a_bx",
    "a$b": "a_b",
    "a😀b": "a_b",
    "a@b#c": "aab_c",
    "a+1": "ax1",
    "a*b": "axb",
    "+1": "x1",
    "-1": "_1",
    "value%": "valuex",
    "is_a?": "is_ax",
    "url?x=1": "url_x_1",
    "1abc": "_1abc",
    "a_": "ax",
    "a__": "axx",
    "_": "x",
    "__a": "_a",
    "a__b": "a_b",
    "traffic/clones": "traffic_clones",
    "My Data-Set 1": "my_data_set_1",
    "Pipe Name!": "pipe_namex",
}

PATHS = {
    ("a__b",): "a__b",
    ("PascalCase__NestedName",): "pascal_case__nested_name",
    ("reactions", "+1"): "reactions__x1",
    ("reactions", "-1"): "reactions___1",
    ("",): "_empty",
    ("__a",): "a",
    ("__a__B_",): "a__bx",
    ("__",): "xx",
    ("a", "b", "c"): "a__b__c",
}


@pytest.mark.parametrize("convention", [SNAKE, UNICODE], ids=["snake_case", "unicode_snake_case"])
@pytest.mark.parametrize(("key", "name"), IDENTIFIERS.items())
def test_an_identifier_reads_as_in_dlt(convention, key, name) -> None:
    assert convention.identifier(key) == name


@pytest.mark.parametrize("convention", [SNAKE, UNICODE], ids=["snake_case", "unicode_snake_case"])
@pytest.mark.parametrize(("keys", "name"), PATHS.items())
def test_a_path_reads_as_in_dlt(convention, keys, name) -> None:
    assert convention.path(keys) == name


@pytest.mark.parametrize(
    ("key", "snake", "unicode"),
    [("naïve", "na_ve", "naïve"), ("ąęó", "x", "ąęó"), ("日本", "x", "日本"), ("NaïveÄrger", "na_ve_rger", "naïveärger")],
)
def test_letters_of_every_script_stay_under_the_convention_of_new_datasets(key, snake, unicode) -> None:
    assert (SNAKE.identifier(key), UNICODE.identifier(key)) == (snake, unicode)


@given(st.text(string.printable, min_size=1, max_size=20))
def test_both_conventions_agree_on_ascii(key) -> None:
    assert UNICODE.identifier(key) == SNAKE.identifier(key)
    assert UNICODE.path((key, key)) == SNAKE.path((key, key))


@given(st.text(max_size=20))
def test_a_name_is_lower_case_and_stands_without_quotes_in_ascii(key) -> None:
    name = SNAKE.identifier(key)

    assert name
    assert set(name) <= set(string.ascii_lowercase + string.digits + "_")
    assert not name[0].isdigit()
    assert SNAKE.path((name,)) == name or not name.strip("_")


# --- length ------------------------------------------------------------------------------------------------------


def test_a_long_name_keeps_head_and_tail_around_a_hash_of_the_whole() -> None:
    one, other = shorten("x" * 100 + "a", 63), shorten("x" * 101 + "a", 63)

    assert len(one) == len(other) == 63
    assert one != other
    assert one.startswith("x" * 20)
    assert one.endswith("a")


@given(st.text("ab_", min_size=1, max_size=60), st.integers(9, 63))
def test_no_name_is_longer_than_the_destination_allows(key, longest) -> None:
    assert len(NamingConvention(max_length=longest).path((key, key))) <= longest


# --- one name for each path --------------------------------------------------------------------------------------

_keys = st.text("aA_b -é1", max_size=4)
_paths = st.lists(st.tuples(_keys) | st.tuples(_keys, _keys), min_size=1, max_size=8, unique=True)


@given(_paths, st.randoms(use_true_random=False), st.sampled_from([20, 65_536]))
def test_every_path_has_a_name_of_its_own_whatever_the_order(paths, random, longest) -> None:
    naming = NamingConvention(max_length=longest)
    shuffled = random.sample(paths, len(paths))

    names = assign_names(paths, naming.path, owners={}, reserved=frozenset({"a"}), max_length=longest)

    assert names == assign_names(shuffled, naming.path, owners={}, reserved=frozenset({"a"}), max_length=longest)
    assert set(names) == set(paths)
    assert len(set(names.values())) == len(paths)
    assert "a" not in names.values()
    assert all(len(name) <= longest for name in names.values())


@given(_paths, _paths)
def test_a_stored_name_stays_with_its_path(stored, new) -> None:
    before = assign_names(stored, UNICODE.path, owners={})

    after = assign_names([*new, *stored], UNICODE.path, owners={name: path for path, name in before.items()})

    assert {path: after[path] for path in stored} == before
    assert len(set(after.values())) == len(after)


@given(_paths, _paths)
def test_a_name_that_was_given_before_is_given_again_when_its_path_comes_alone(stored, new) -> None:
    before = assign_names(stored, UNICODE.path, owners={})
    owners = {name: path for path, name in before.items()}

    for path in stored:
        assert assign_names([path, *new], UNICODE.path, owners=owners)[path] == before[path]


def test_the_path_that_spells_a_name_exactly_gets_it() -> None:
    names = assign_names([("userName",), ("user_name",), ("user", "name")], UNICODE.path, owners={})

    assert names["user_name",] == "user_name"
    assert names["userName",].startswith("user_name_")
    assert names["user", "name"] == "user__name"


def test_a_name_of_unknown_owner_goes_to_the_first_path_that_reads_so() -> None:
    assert assign_names([("userName",)], UNICODE.path, owners={"user_name": ()}) == {("userName",): "user_name"}
