"""Refreshing a pipeline: what earlier loads left goes in the same commit as the new rows come, or nothing does."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate import faults
from dlt_orchestrate.errors import CommitConflictError, DeclarationError, PipelineStepFailed, TableConflictError


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline(pipeline_name="warehouse", destination="duckdb", dataset_name="mydata")


class Shop:
    """A source whose orders are told beforehand; `asked` keeps what its cursors began from."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = [{"id": 1, "at": 1, "tags": ["a"]}, {"id": 2, "at": 2, "tags": ["b"]}]
        self.asked: list[Any] = []
        self.breaks = ""

    def __call__(self) -> Any:
        @dlt.source
        def shop():
            @dlt.resource(primary_key="id", write_disposition="merge")
            def orders(at=dlt.sources.incremental("at", initial_value=0)):
                self.asked.append((at.last_value, dlt.current.source_state().get("token")))
                yield self.orders
                self._break("orders")

            @dlt.resource
            def people():
                dlt.current.source_state()["token"] = "t"
                seen = dlt.current.resource_state().setdefault("seen", 0)
                dlt.current.resource_state()["seen"] = seen + 1
                yield {"id": seen, "nick": "x"}
                self._break("people")

            return orders, people

        return shop()

    def _break(self, resource: str) -> None:
        if self.breaks == resource:
            raise TimeoutError("no answer")


@pytest.fixture
def shop(pipeline: dlt.Pipeline) -> Shop:
    found = Shop()
    pipeline.run(found())
    return found


def rows(pipeline: dlt.Pipeline, table: str, *columns: str) -> list[tuple]:
    return sorted(pipeline.dataset()[table].select(*columns).fetchall(), key=repr)


def tables(pipeline: dlt.Pipeline) -> list[str]:
    return sorted(name for name in pipeline.dataset().tables if not name.startswith("_dlt_"))


def cursor(pipeline: dlt.Pipeline) -> Any:
    resources = pipeline.state["sources"]["shop"]["resources"]
    return resources["orders"]["incremental"]["at"]["last_value"] if "orders" in resources else None


# --- the modes ---------------------------------------------------------------------------------------------------


def test_drop_resources_begins_the_loaded_resources_anew(pipeline: dlt.Pipeline, shop: Shop) -> None:
    shop.orders = [{"id": "a", "at": 1}]

    info = pipeline.run(shop().with_resources("orders"), refresh="drop_resources")

    assert shop.asked == [(0, None), (0, "t")]
    assert rows(pipeline, "orders", "id") == [("a",)]
    assert tables(pipeline) == ["orders", "people"]
    assert pipeline.default_schema.tables["orders"]["columns"]["id"]["data_type"] == "text"
    assert cursor(pipeline) == 1
    assert pipeline.state["sources"]["shop"]["resources"]["people"] == {"seen": 1}
    report = info.resources["orders"]
    assert (report.rows_loaded, report.rows_deleted, report.total_rows, report.changed) == (1, 2, 1, True)


def test_drop_data_keeps_tables_and_columns(pipeline: dlt.Pipeline, shop: Shop) -> None:
    shop.orders = [{"id": 3, "at": 1}]

    pipeline.run(shop().with_resources("orders"), refresh="drop_data")

    assert rows(pipeline, "orders", "id", "at") == [(3, 1)]
    assert tables(pipeline) == ["orders", "orders__tags", "people"]
    assert rows(pipeline, "orders__tags", "value") == []
    assert cursor(pipeline) == 1


def test_drop_sources_takes_the_source_with_what_it_does_not_load_now(pipeline: dlt.Pipeline, shop: Shop) -> None:
    pipeline.run([{"id": 1}], table_name="elsewhere")
    before = pipeline.schemas["shop"].version

    pipeline.run(shop().with_resources("orders"), refresh="drop_sources")

    assert tables(pipeline) == ["elsewhere", "orders", "orders__tags"]
    assert shop.asked[-1] == (0, None)
    assert pipeline.state["sources"]["shop"] == {
        "resources": {"orders": {"incremental": pipeline.state["sources"]["shop"]["resources"]["orders"]["incremental"]}}
    }
    assert list(pipeline.schemas["shop"].tables) == ["orders", "orders__tags"]
    assert pipeline.schemas["shop"].version > before


def test_a_pipeline_refreshes_every_run_unless_told_otherwise(project: Path) -> None:
    pipeline = dlt.pipeline("daily", destination="duckdb", dataset_name="mydata", refresh="drop_data")
    for number in (1, 2):
        pipeline.run([{"id": number}], table_name="rows")
    assert rows(pipeline, "rows", "id") == [(2,)]

    pipeline.run([{"id": 3, "new": True}], table_name="rows", refresh="drop_resources")

    assert list(pipeline.dataset().tables).count("rows") == 1
    assert rows(pipeline, "rows", "id", "new") == [(3, True)]


def test_a_refresh_without_rows_leaves_none(pipeline: dlt.Pipeline, shop: Shop) -> None:
    shop.orders = []

    info = pipeline.run(shop().with_resources("orders"), refresh="drop_resources")

    assert tables(pipeline) == ["people"]
    assert cursor(pipeline) in (None, 0)
    assert (info.resources["orders"].total_rows, info.resources["orders"].rows_deleted) == (0, 2)


def test_a_refresh_of_what_was_never_loaded_is_a_first_load(pipeline: dlt.Pipeline) -> None:
    for mode in ("drop_sources", "drop_resources", "drop_data"):
        pipeline.run([{"id": mode}], table_name="rows", refresh=mode)

    assert rows(pipeline, "rows", "id") == [("drop_data",)]


def test_each_resource_commits_its_own_refresh(pipeline: dlt.Pipeline, shop: Shop) -> None:
    shop.breaks = "people"

    with pytest.raises(PipelineStepFailed, match="people"):
        pipeline.run(shop(), refresh="drop_data", commit="resource")

    assert rows(pipeline, "orders", "id") == [(1,), (2,)]
    assert rows(pipeline, "people", "id") == [(0,)]
    assert shop.asked[-1][0] == 0


def test_a_refresh_is_not_repeated_under_its_idempotency_key(pipeline: dlt.Pipeline, shop: Shop) -> None:
    first = pipeline.run(shop(), refresh="drop_sources", idempotency_key="attempt")

    again = pipeline.run(shop(), refresh="drop_sources", idempotency_key="attempt")

    assert again.resources["orders"].repeated
    assert again.resources["orders"].load_id == first.resources["orders"].load_id
    assert len(shop.asked) == 2


def test_extract_and_load_refresh_too(pipeline: dlt.Pipeline, shop: Shop) -> None:
    shop.orders = [{"id": 9, "at": 9}]
    pipeline.extract(shop().with_resources("orders"), refresh="drop_resources")
    assert rows(pipeline, "orders", "id") == [(1,), (2,)]

    pipeline.load()

    assert rows(pipeline, "orders", "id") == [(9,)]


# --- all or nothing ----------------------------------------------------------------------------------------------


def everything(pipeline: dlt.Pipeline) -> tuple:
    return (
        tables(pipeline),
        rows(pipeline, "orders", "id"),
        rows(pipeline, "orders__tags", "value"),
        rows(pipeline, "people", "id"),
        pipeline.state["sources"],
        {name: schema.version for name, schema in pipeline.schemas.items()},
    )


@pytest.mark.parametrize("mode", ["drop_sources", "drop_resources", "drop_data"])
@pytest.mark.parametrize(
    "point", ["commit.before_operation:raise:1", "commit.before_operation:raise:4", "commit.before_commit:raise:1"]
)
def test_a_refresh_that_fails_changes_nothing(
    pipeline: dlt.Pipeline, shop: Shop, mode: Any, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(pipeline)
    shop.orders = [{"id": 7, "at": 7, "tags": ["z"]}]

    with monkeypatch.context() as broken:
        broken.setattr(faults, "passed", Counter())
        broken.setenv(faults.FAULT_VARIABLE, point)
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(shop(), refresh=mode)

    assert isinstance(caught.value.exception, faults.FaultInjected)
    assert everything(pipeline) == before
    pipeline.run(shop(), refresh=mode)
    assert rows(pipeline, "orders", "id") == [(7,)]


KILLED = """
import dlt_orchestrate as dlt

pipeline = dlt.pipeline(pipeline_name="warehouse", destination="duckdb", dataset_name="mydata")
pipeline.run([{"id": 7}], table_name="rows", refresh="drop_sources")
"""


@pytest.mark.parametrize("point", ["commit.before_record:kill:1", "commit.before_commit:kill:1"])
def test_a_kill_amid_a_refresh_leaves_what_was_there(pipeline: dlt.Pipeline, run_script: Any, point: str) -> None:
    pipeline.run([{"id": 1, "tags": ["a"]}, {"id": 2}], table_name="rows")

    done = run_script(KILLED, env={faults.FAULT_VARIABLE: point}, check=False)

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows(pipeline, "rows", "id") == [(1,), (2,)]
    assert rows(pipeline, "rows__tags", "value") == [("a",)]
    run_script(KILLED)
    assert (tables(pipeline), rows(pipeline, "rows", "id")) == (["rows"], [(7,)])


def test_a_source_that_is_dropped_is_loaded_all_or_nothing(pipeline: dlt.Pipeline, shop: Shop) -> None:
    before = everything(pipeline)
    shop.breaks = "people"

    with pytest.raises(PipelineStepFailed, match="people"):
        pipeline.run(shop(), refresh="drop_sources")

    assert everything(pipeline) == before


def test_a_resource_that_fails_keeps_what_it_had(pipeline: dlt.Pipeline, shop: Shop) -> None:
    shop.breaks, shop.orders = "people", [{"id": 7, "at": 7}]

    with pytest.raises(PipelineStepFailed, match="people"):
        pipeline.run(shop(), refresh="drop_resources")

    assert rows(pipeline, "orders", "id") == [(7,)]
    assert rows(pipeline, "people", "id") == [(0,)]
    assert pipeline.state["sources"]["shop"]["resources"]["people"] == {"seen": 1}


def test_a_load_that_began_before_a_refresh_does_not_come_after_it(pipeline: dlt.Pipeline, shop: Shop) -> None:
    def people():
        yield {"id": 5}
        pipeline.run(shop().with_resources("orders"), refresh="drop_sources")

    source = dlt.source(lambda: dlt.resource(people, name="people"), name="shop")

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(source())

    assert isinstance(caught.value.exception, CommitConflictError)
    assert tables(pipeline) == ["orders", "orders__tags"]


# --- shared tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["drop_resources", "drop_data"])
def test_a_table_of_several_resources_is_refreshed_by_all_of_them(pipeline: dlt.Pipeline, mode: Any) -> None:
    def shared(*numbers: int) -> list:
        return [dlt.resource([{"n": n}], name=f"part_{n}", table_name="shared") for n in numbers]

    pipeline.run(shared(1, 2))

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(shared(1), refresh=mode)
    assert isinstance(caught.value.exception, TableConflictError)
    assert (
        "resetting resource 'part_1' (source 'warehouse') would delete its rows, of which some are of resource 'part_2'"
        in str(caught.value)
    )
    assert rows(pipeline, "shared", "n") == [(1,), (2,)]

    pipeline.run(shared(1, 2), refresh=mode)
    assert rows(pipeline, "shared", "n") == [(1,), (2,)]


# --- what cannot work --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"refresh": "drop_all"},
            "refresh='drop_all' is not known. Known are: 'drop_sources', 'drop_resources', 'drop_data'",
        ),
        ({"refresh": "drop_sources", "commit": "resource"}, "'drop_sources' takes each source away as a whole"),
        ({"refresh": "drop_data", "window": ("1", "2")}, "a window loads only a part of it again"),
    ],
)
def test_what_does_not_go_together_is_refused(pipeline: dlt.Pipeline, shop: Shop, told: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        pipeline.run(shop(), **told)

    assert len(shop.asked) == 1


def test_an_unknown_mode_of_a_pipeline_is_refused(project: Path) -> None:
    with pytest.raises(DeclarationError, match="refresh='full' is not known"):
        dlt.pipeline("shop", destination="duckdb", refresh="full")  # type: ignore[arg-type]
