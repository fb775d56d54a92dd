"""What goes wrong in one resource or source is told by name, and costs no other one anything."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed, SourceExhaustedError, SourceFailedError


@pytest.fixture
def pipeline(project: Path) -> Any:
    return dlt.pipeline("alone", destination="duckdb", dataset_name="shop")


FINE = [{"a": 1}]


@pytest.mark.parametrize("name", [None, 7, "", " "])
def test_a_record_without_a_table_name_fails_its_resource_only(pipeline: Any, name: Any) -> None:
    dynamic = dlt.resource([{"t": name}], name="dynamic", table_name=lambda row: row["t"])

    with pytest.raises(PipelineStepFailed, match=r"resource 'dynamic'.*table_name returned") as caught:
        pipeline.run([dlt.resource(FINE, name="fine"), dynamic])

    assert caught.value.resources == ("dynamic",)
    assert pipeline.dataset().row_counts() == {"fine": 1}


def test_a_state_that_cannot_be_kept_fails_its_resource_only(pipeline: Any) -> None:
    @dlt.resource
    def stateful() -> Iterator[dict[str, int]]:
        dlt.current.resource_state()["seen"] = {1, 2}
        yield {"a": 1}

    with pytest.raises(PipelineStepFailed, match=r"resource 'stateful'.*cannot keep a set"):
        pipeline.run([dlt.resource(FINE, name="fine"), stateful])

    assert pipeline.dataset().row_counts() == {"fine": 1}


def test_a_source_function_that_raises_is_named(pipeline: Any) -> None:
    @dlt.source
    def broken() -> Any:
        raise RuntimeError("no such shop")

    with pytest.raises(PipelineStepFailed, match="source 'broken' raised RuntimeError: no such shop") as caught:
        pipeline.run(broken())

    assert isinstance(caught.value.__cause__, SourceFailedError)


def test_the_same_resource_twice_in_one_run_is_refused_before_anything_is_read(pipeline: Any) -> None:
    @dlt.source
    def events(first: int) -> Any:
        return dlt.resource([{"at": first}], name="events")

    with pytest.raises(DeclarationError, match=r"'events' of source 'events' is in this run twice.*with_args"):
        pipeline.run([events(100), events(0)])

    assert pipeline.first_run


def test_a_generator_that_was_read_to_its_end_is_no_data(pipeline: Any) -> None:
    rows = ({"i": i} for i in range(3))
    pipeline.run(rows, table_name="numbers")

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(rows, table_name="numbers", write_disposition="replace")

    assert isinstance(caught.value.__cause__, SourceExhaustedError)
    assert pipeline.dataset().row_counts() == {"numbers": 3}


def test_a_replace_whose_rows_are_all_rejected_leaves_the_stored_ones(pipeline: Any) -> None:
    pipeline.run([{"i": 1}, {"i": 2}], table_name="numbers", write_disposition="replace")

    with pytest.raises(PipelineStepFailed, match="2 of 2 rows were rejected"):
        pipeline.run([{"i": {1}}, {"i": {2}}], table_name="numbers", write_disposition="replace")

    assert pipeline.dataset().row_counts() == {"numbers": 2}


def test_rejected_rows_stand_in_the_printed_info_and_in_the_log(pipeline: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="dlt_orchestrate"):
        info = pipeline.run([{"i": 1}, {"i": {2}}], table_name="numbers")

    assert "Resource numbers: 1 row(s) were rejected, see table _dlt_rejects" in str(info)
    assert "resource 'numbers': 1 row(s) were rejected" in caplog.text


def test_resources_of_one_name_in_two_sources_each_have_a_report(pipeline: Any) -> None:
    @dlt.source
    def north() -> Any:
        return dlt.resource([{"id": 1}, {"id": 5}], name="users")

    @dlt.source
    def south() -> Any:
        return dlt.resource([{"id": 7}], name="users", table_name="users_south")

    info = pipeline.run([north(), south()])

    assert {name: report.rows_loaded for name, report in info.resources.items()} == {"north.users": 2, "south.users": 1}


def test_a_secret_in_an_exception_of_the_users_code_is_masked_in_the_whole_traceback(project: Path) -> None:
    script = project / "leaky.py"
    script.write_text(
        "import dlt_orchestrate as dlt\n"
        "@dlt.resource\n"
        "def leaky(token=dlt.secrets.value):\n"
        "    error = RuntimeError(f'GET https://shop.example/?key={token} failed')\n"
        "    error.add_note(f'with {token}')\n"
        "    raise error\n"
        "    yield\n"
        "dlt.pipeline('leaky', destination='duckdb').run(leaky)\n"
    )

    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=project,
        env={"TOKEN": "wholly-secret-9", "PATH": "", "HOME": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert "PipelineStepFailed" in ran.stderr
    assert "wholly-secret-9" not in ran.stdout + ran.stderr
