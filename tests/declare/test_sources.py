from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.source import Source, source
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import (
    ConfigFieldMissingError,
    DeclarationError,
    InvalidArgumentsError,
    SourceEmptyError,
    SourceExhaustedError,
    UnknownResourceError,
)

SECRET: Any = ConfigMarker(is_secret=True)
CONFIG_VALUE: Any = ConfigMarker(is_secret=False)


def resolver(**environ: str) -> Resolver:
    return Resolver.from_environment(environ=environ, project_dir=Path("nowhere"), home_dir=Path("nowhere"))


def fresh(recipe: Source, **environ: str) -> dict[str, Resource]:
    return {found.name: found for found in recipe.evaluate(resolver(**environ))}


def fetch(endpoint: str, repo_name: str = "shop", access_token: str | None = None) -> Iterator[Any]:
    yield [{"id": f"{repo_name}/{endpoint}/{number}", "token": access_token} for number in range(2)]


# --- the shapes of the tutorial -----------------------------------------------------------------------------------


@resource(table_name="issues", write_disposition="merge", primary_key="id")
def get_issues(
    updated_at: Incremental[str] = Incremental("updated_at", initial_value="1970-01-01T00:00:00Z"),  # noqa: B008
) -> Iterator[Any]:
    yield [{"id": 1, "updated_at": "2024-01-01T00:00:00Z", "since": updated_at.last_value}]


@resource(table_name="comments", write_disposition="merge", primary_key="id")
def get_comments() -> Iterator[Any]:
    yield [{"id": 1}]


def test_a_source_may_return_decorated_functions_that_nobody_called() -> None:
    @source
    def github_source() -> Any:
        return [get_issues, get_comments]

    found = fresh(github_source())

    assert {name: declared.table_name for name, declared in found.items()} == {
        "get_issues": "issues",
        "get_comments": "comments",
    }
    assert next(iter(found["get_issues"]))["since"] == "1970-01-01T00:00:00Z"


def test_a_source_may_yield_resources_made_of_generators_in_a_loop_and_run_any_number_of_times() -> None:
    @source
    def github_source(access_token: str = SECRET, repo_name: str = CONFIG_VALUE) -> Iterator[Resource]:
        for endpoint in ["issues", "comments", "traffic/clones"]:
            yield resource(
                fetch(endpoint, repo_name, access_token), name=endpoint, write_disposition="merge", primary_key="id"
            )

    recipe = github_source(access_token="ghp_given")

    for _ in range(3):
        found = fresh(recipe, REPO_NAME="dlt-hub/dlt")
        assert list(found) == ["issues", "comments", "traffic/clones"]
        assert list(found["traffic/clones"])[1] == {"id": "dlt-hub/dlt/traffic/clones/1", "token": "ghp_given"}
        with pytest.raises(SourceExhaustedError):
            list(found["traffic/clones"])


def test_the_resources_of_a_source_may_depend_on_data() -> None:
    @source
    def shop() -> Iterator[Any]:
        tables = ["orders", "lines"]
        yield [resource([{"table": table}], name=table) for table in tables]
        yield resource(tables, name="tables")

    assert list(fresh(shop())) == ["orders", "lines", "tables"]


# --- a recipe ---------------------------------------------------------------------------------------------------


def counting_source() -> tuple[Any, list[str]]:
    calls: list[str] = []

    @source(name="shop", section="shops")
    def shop(city: str = "Berlin", key: str = SECRET) -> Any:
        """A shop."""
        calls.append(city)
        return resource([{"city": city, "key": key}], name="orders"), resource([1, 2, 3], name="numbers")

    return shop, calls


def test_calling_a_source_runs_and_resolves_nothing() -> None:
    shop, calls = counting_source()

    recipe = shop("Rome").with_resources("orders").add_limit(1).clone()

    assert (recipe.name, recipe.section, recipe.selection, calls) == ("shop", "shops", ("orders",), [])
    assert (shop.name, shop.section, shop.__name__, shop.__doc__) == ("shop", "shops", "shop", "A shop.")


def test_each_evaluation_is_fresh_and_reads_the_configuration_of_its_moment() -> None:
    shop, calls = counting_source()
    recipe = shop()

    first, second = (fresh(recipe, SOURCES__SHOPS__SHOP__KEY=key)["orders"] for key in ("a", "b"))

    assert first is not second
    assert (list(first), list(second)) == ([{"city": "Berlin", "key": "a"}], [{"city": "Berlin", "key": "b"}])
    assert len(calls) == 2


def test_a_missing_value_is_an_error_when_evaluated_and_can_be_a_placeholder() -> None:
    shop, _ = counting_source()

    with pytest.raises(ConfigFieldMissingError, match=r"Source 'shop': missing 1 value.*'key'"):
        shop().evaluate(resolver())

    assert [found.name for found in shop().evaluate(resolver(), placeholders=True)] == ["orders", "numbers"]


def test_arguments_that_do_not_fit_are_an_error_at_once() -> None:
    shop, _ = counting_source()

    with pytest.raises(InvalidArgumentsError, match="Source 'shop' cannot be called: got an unexpected keyword"):
        shop(town="Rome")


def test_names_decide_where_resources_look_for_their_configuration() -> None:
    @source
    def shop() -> Any:
        @resource
        def orders(per_page: int = CONFIG_VALUE) -> Iterator[Any]:
            yield per_page

        return orders

    assert fresh(shop())["orders"].sections == ("sources", "test_sources", "orders")
    assert fresh(shop.with_args(name="other", section="shops")())["orders"].sections == ("sources", "shops", "orders")
    assert shop.with_args(name="other")().name == "other"


def test_settings_of_a_source_hold_where_a_resource_has_none_of_its_own() -> None:
    @source(max_table_nesting=1, schema_contract="freeze", parallelized=True, root_key=True)
    def shop() -> Any:
        return resource([], name="plain"), resource([], name="own", max_table_nesting=0, schema_contract="evolve")

    found = fresh(shop())

    assert (found["plain"].max_table_nesting, found["plain"].schema_contract) == (1, "freeze")
    assert (found["own"].max_table_nesting, found["own"].schema_contract) == (0, "evolve")
    assert found["plain"].parallelized is True
    assert shop().root_key is True


@pytest.mark.parametrize(
    ("returned", "found"),
    [(None, "nothing"), ([], "an empty list"), ([{"id": 1}], "a dict"), (5, "a int"), ([fetch], "a function")],
)
def test_a_source_without_resources_is_an_error(returned: Any, found: str) -> None:
    @source
    def empty() -> Any:
        return returned

    with pytest.raises(SourceEmptyError, match=f"Source 'empty' returned {found} instead of resources"):
        empty().evaluate(resolver())


def test_two_resources_of_one_name_are_an_error() -> None:
    @source
    def twins() -> Any:
        return get_comments, get_comments.with_name("get_issues"), get_issues

    with pytest.raises(DeclarationError, match="two resources are named 'get_issues'"):
        twins().evaluate(resolver())


# --- selection and edits ------------------------------------------------------------------------------------------


@source
def letters() -> Any:
    return (
        resource([{"l": "a"}, {"l": "aa"}], name="a"),
        resource([{"l": "b"}], name="b"),
        resource([{"l": "c"}], name="c", selected=False),
    )


def selected(recipe: Source) -> list[str]:
    return [found.name for found in recipe.evaluate(resolver()) if found.selected]


def test_resources_are_looked_at_by_name_or_attribute_and_stay_the_same_objects() -> None:
    recipe = letters()

    assert list(recipe.resources) == ["a", "b", "c"]
    assert list(recipe.selected_resources) == ["a", "b"]
    assert recipe.a is recipe.resources["a"]
    assert list(recipe.a) == [{"l": "a"}, {"l": "aa"}]
    assert list(recipe) == [{"l": "a"}, {"l": "aa"}, {"l": "b"}]


def test_an_unknown_attribute_is_an_error_and_probing_runs_nothing() -> None:
    shop, calls = counting_source()

    assert not hasattr(shop(), "_repr_html_")
    assert calls == []
    with pytest.raises(AttributeError, match="no attribute or resource 'z'"):
        _ = letters().z


def test_a_selection_makes_a_clone_and_names_every_unknown_resource() -> None:
    recipe = letters()

    assert selected(recipe.with_resources("b", "c")) == ["b", "c"]
    assert selected(recipe) == ["a", "b"]
    with pytest.raises(UnknownResourceError, match=r"Source 'letters' has no resource 'y', 'z'\. It has: 'a', 'b', 'c'"):
        recipe.with_resources("y", "z").evaluate(resolver())


EDITS: dict[str, Callable[[Resource], Any]] = {
    "map": lambda a: a.add_map(lambda row: {"l": row["l"].upper()}),
    "limit": lambda a: a.add_limit(1),
    "hints": lambda a: a.apply_hints(primary_key="l", write_disposition="merge"),
    "table name": lambda a: setattr(a, "table_name", "other"),
    "disposition": lambda a: setattr(a, "write_disposition", "replace"),
    "nesting": lambda a: setattr(a, "max_table_nesting", 1),
    "selected": lambda a: setattr(a, "selected", False),
    "parallel": lambda a: a.parallelize(),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_edits_of_looked_at_resources_are_made_again_on_every_evaluation(edit: Callable[[Resource], Any]) -> None:
    recipe = letters()
    edit(recipe.a)

    def shown(found: Resource) -> Any:
        return (list(found), found.declared, found.selected, found.parallelized, found.table_name)

    for evaluated in (fresh(recipe), fresh(recipe), fresh(recipe.clone()), fresh(recipe.with_resources(*selected(recipe)))):
        assert shown(evaluated["a"]) == shown(recipe.a)
    assert shown(fresh(letters())["a"]) != shown(recipe.a)


def test_edits_of_a_clone_do_not_reach_the_original() -> None:
    recipe = letters()
    recipe.a.add_limit(1)
    clone = recipe.clone()
    clone.a.apply_hints(table_name="other")

    assert fresh(recipe)["a"].table_name == "a"
    assert fresh(clone)["a"].table_name == "other"
    assert len(list(fresh(clone)["a"])) == 1


def test_a_resource_looked_at_and_read_can_still_run() -> None:
    @source
    def shop() -> Any:
        return resource(fetch("orders"), name="orders")

    recipe = shop()
    assert len(list(recipe.orders)) == 2

    assert len(list(fresh(recipe)["orders"])) == 2


def test_a_limit_on_the_source_holds_for_every_resource_looked_at_or_fresh() -> None:
    recipe = letters()
    looked_at = recipe.a
    recipe.add_limit(1)

    assert len(list(looked_at)) == len(list(fresh(recipe)["a"])) == 1


def test_a_transformer_is_fed_by_its_parent_as_the_source_shapes_it() -> None:
    @source
    def shop() -> Any:
        parents = resource([1, 2, 3], name="parents", selected=False)

        @transformer(data_from=parents)
        def children(number: int) -> Iterator[int]:
            yield from [number] * 2

        return parents, children

    recipe = shop().add_limit(2)
    recipe.parents.add_map(lambda number: number * 10)

    assert selected(recipe) == ["children"]
    assert list(fresh(recipe)["children"]) == [10, 10, 20, 20]
    assert list(recipe.children) == [10, 10, 20, 20]


def test_a_parent_that_the_source_does_not_list_is_limited_too() -> None:
    @source
    def shop() -> Any:
        return resource([1, 2, 3], name="hidden") | transformer(lambda number: [number], name="shown")

    assert list(fresh(shop().add_limit(2))["shown"]) == [1, 2]


def test_resources_that_two_sources_share_are_edited_for_themselves() -> None:
    @source
    def one() -> Any:
        return [get_comments]

    @source
    def two() -> Any:
        return [get_comments]

    first = one()
    first.get_comments.add_map(lambda row: {"id": 99})

    assert list(fresh(first)["get_comments"]) == [{"id": 99}]
    assert list(fresh(two())["get_comments"]) == [{"id": 1}]
    assert list(get_comments) == [{"id": 1}]
