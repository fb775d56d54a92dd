"""Every path of keys gets a name of its own, whatever the order of the paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import CONVENTIONS
from dlt_orchestrate.schema.naming import Naming, assign_names, naming_for, shorten


def named(convention: str, *, longest: int = 65_536, case_sensitive: bool = False) -> Naming:
    limits = Capabilities(max_identifier_length=longest, case_sensitive_identifiers=case_sensitive)
    return naming_for(convention, limits)


UNICODE = named("unicode_snake_case")
DIRECT = named("direct")


def test_a_long_name_keeps_head_and_tail_around_a_hash_of_the_whole() -> None:
    one, other = shorten("x" * 100 + "a", 63), shorten("x" * 101 + "a", 63)

    assert len(one) == len(other) == 63
    assert one != other
    assert one.startswith("x" * 20)
    assert one.endswith("a")


_keys = st.text("aA_b -é1", max_size=4)
_paths = st.lists(st.tuples(_keys) | st.tuples(_keys, _keys), min_size=1, max_size=8, unique=True)
_namings = st.builds(
    named, st.sampled_from(sorted(CONVENTIONS)), longest=st.sampled_from([20, 65_536]), case_sensitive=st.booleans()
)


@given(_paths, st.randoms(use_true_random=False), _namings)
def test_every_path_has_a_name_of_its_own_whatever_the_order(paths, random, naming) -> None:
    shuffled = random.sample(paths, len(paths))

    names = assign_names(paths, naming.path, naming=naming, owners={}, reserved={"a"})

    assert names == assign_names(shuffled, naming.path, naming=naming, owners={}, reserved={"a"})
    assert set(names) == set(paths)
    assert len({naming.folded(name) for name in names.values()}) == len(paths)
    assert "a" not in map(naming.folded, names.values())
    assert all(0 < len(name) <= naming.max_length for name in names.values())


@given(_paths, _paths, _namings)
def test_a_stored_name_stays_with_its_path(stored, new, naming) -> None:
    before = assign_names(stored, naming.path, naming=naming, owners={})

    after = assign_names([*new, *stored], naming.path, naming=naming, owners={name: p for p, name in before.items()})

    assert {path: after[path] for path in stored} == before
    assert len({naming.folded(name) for name in after.values()}) == len(after)


@given(_paths, _paths)
def test_a_name_that_was_given_before_is_given_again_when_its_path_comes_alone(stored, new) -> None:
    before = assign_names(stored, UNICODE.path, naming=UNICODE, owners={})
    owners = {name: path for path, name in before.items()}

    for path in stored:
        assert assign_names([path, *new], UNICODE.path, naming=UNICODE, owners=owners)[path] == before[path]


def test_the_path_that_spells_a_name_exactly_gets_it() -> None:
    names = assign_names([("userName",), ("user_name",), ("user", "name")], UNICODE.path, naming=UNICODE, owners={})

    assert names["user_name",] == "user_name"
    assert names["userName",].startswith("user_name_")
    assert names["user", "name"] == "user__name"


def test_a_name_of_unknown_owner_goes_to_the_first_path_that_reads_so() -> None:
    names = assign_names([("userName",)], UNICODE.path, naming=UNICODE, owners={"user_name": ()})

    assert names == {("userName",): "user_name"}


def test_a_name_of_unknown_owner_goes_to_no_path_that_reads_so_but_for_case() -> None:
    names = assign_names([("ID",), ("Id",)], DIRECT.path, naming=DIRECT, owners={"Id": ()})

    assert names["Id",] == "Id"
    assert names["ID",].startswith("ID_")


@pytest.mark.parametrize(("case_sensitive", "distinct"), [(True, True), (False, False)])
def test_names_that_differ_in_case_are_as_many_as_the_destination_holds(case_sensitive: bool, distinct: bool) -> None:
    naming = named("sql_cs_v1", case_sensitive=case_sensitive)

    names = assign_names([("Id",), ("ID",), ("id",)], naming.path, naming=naming, owners={})

    assert (set(names.values()) == {"Id", "ID", "id"}) is distinct
    assert names["ID",] == "ID"
    assert len({naming.folded(name) for name in names.values()}) == 3


def test_a_key_that_spells_the_name_of_another_with_its_hash_does_not_share_it() -> None:
    first = assign_names([("userName",), ("user_name",)], UNICODE.path, naming=UNICODE, owners={})
    odd = (first["userName",],)

    names = assign_names([("userName",), ("user_name",), odd], UNICODE.path, naming=UNICODE, owners={})

    assert names[odd] == odd[0]
    assert len(set(names.values())) == 3
