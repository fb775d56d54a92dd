"""The random killer kills, and its oracle sees what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from dlt_orchestrate.destinations.duckdb_file.destination import DuckDB
from soak import loads
from soak.kills import Killer
from soak.loads import Load
from soak.oracle import KINDS, WrongError, expect_books_agree, expect_one_of, picture
from soak.places import PLACES, DuckDBPlace, Tables
from soak.processes import Processes


@pytest.mark.parametrize(("mode", "place"), [("append", "duckdb"), ("scd2", "duckdb"), ("upsert", "postgres")])
def test_random_kills_lose_nothing_double_nothing_and_show_nothing_by_half(mode, place) -> None:
    tally = Killer(destination=place, mode=mode, seed=8).kill(7)

    assert tally.stories == []
    assert tally.killed == 7
    assert tally.reads > 0


class Careless(DuckDB):
    """A destination that makes every operation visible at once."""

    @contextmanager
    def _transaction(self, connection):
        yield


class CarelessPlace(DuckDBPlace):
    def destination(self) -> Careless:
        return Careless(self.file)


def test_the_killer_convicts_a_destination_without_transactions(monkeypatch) -> None:
    monkeypatch.setitem(PLACES, "careless", CarelessPlace.fresh)

    tally = Killer(destination="careless", mode="append", seed=4).kill(6)

    assert tally.wrong
    assert tally.wrong.keys() <= set(KINDS)
    assert all("seed 4" in story and "append, version" in story for story in tally.stories)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> tuple[Load, Callable[[], Tables]]:
    """Three versions, loaded, and a way to read them."""
    folder = tmp_path_factory.mktemp("oracle")
    load = Load(DuckDBPlace.fresh(folder), folder / "disk", 15, "append", 3)
    assert Processes().run(loads.run_all_before, load.of(4)).error is None

    def read() -> Tables:
        with load.place.looking() as look:
            return look()

    return load, read


def lose_a_row(tables: Tables) -> None:
    gone = tables["orders"].pop()["_dlt_id"]
    for name in ("orders__tags", "orders__lines"):
        tables[name] = [row for row in tables[name] if row["_dlt_parent_id"] != gone]
    ids = {row["_dlt_id"] for row in tables["orders__lines"]}
    tables["orders__lines__parts"] = [row for row in tables["orders__lines__parts"] if row["_dlt_parent_id"] in ids]


def repeat_a_row(tables: Tables) -> None:
    tables["visits"].append({**tables["visits"][0], "_dlt_id": "another"})


def repeat_an_id(tables: Tables) -> None:
    tables["visits"].append(tables["visits"][0])


def lose_a_parent(tables: Tables) -> None:
    parent = tables["orders__lines"][0]["_dlt_parent_id"]
    tables["orders"] = [row for row in tables["orders"] if row["_dlt_id"] != parent]


def lose_the_last_child(tables: Tables) -> None:
    last = max(tables["orders__tags"], key=lambda row: (row["_dlt_list_idx"], row["_dlt_id"]))
    tables["orders__tags"].remove(last)


def lose_a_load_record(tables: Tables) -> None:
    tables["_dlt_loads"].pop()


def lose_a_commit_record(tables: Tables) -> None:
    tables["_dlt_commits"].remove(min(tables["_dlt_commits"], key=lambda row: row["commit_number"]))


def lose_the_state(tables: Tables) -> None:
    tables["_dlt_pipeline_state"].remove(max(tables["_dlt_pipeline_state"], key=lambda row: row["version"]))


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (lose_a_row, "lost"),
        (repeat_a_row, "doubled"),
        (repeat_an_id, "doubled"),
        (lose_a_parent, "orphaned"),
        (lose_the_last_child, "lost"),
        (lose_a_load_record, "orphaned"),
        (lose_a_commit_record, "records"),
        (lose_the_state, "records"),
        (lambda tables: tables["visits"].clear(), "empty"),
        (lambda tables: None, None),
    ],
)
def test_the_oracle_tells_what_is_wrong(loaded, tamper: Callable[[Tables], Any], kind: str | None) -> None:
    load, read = loaded
    tables = read()
    tamper(tables)

    found = None
    try:
        expect_one_of(picture(tables), load.allowed()[1:])
        expect_books_agree(tables)
    except WrongError as error:
        found = error.kind

    assert found == kind


def test_a_mixture_of_two_versions_is_half_visible(loaded) -> None:
    load, read = loaded
    before, after = load.allowed()
    mixed = type(after)(before.orders, after.visits)

    with pytest.raises(WrongError, match="half-visible: orders lacks"):
        expect_one_of(mixed, (after, before))
    expect_one_of(mixed, (after, before), each_alone=True)
    expect_one_of(picture(read()), (after, before))
