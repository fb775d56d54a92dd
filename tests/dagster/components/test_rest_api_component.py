"""`RestApiComponent`: a REST API that YAML declares, from the file to rows in DuckDB, in this process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import duckdb
import pytest
from component_yard import Yard

from dlt_orchestrate.testing.sample_api import SampleApi

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

TEAHOUSE = """
name: teahouse
api:
  client:
    base_url: "{{ env.API_URL }}/repos/acme/teahouse"
    auth: {token: {secret: TEAHOUSE_TOKEN}}
    paginator: header_link
  resource_defaults:
    primary_key: id
    write_disposition: merge
    endpoint: {params: {per_page: "{{ 40 }}"}}
  resources:
    - name: issues
      description: Issues that changed.
      endpoint:
        params: {state: all}
        incremental:
          cursor_path: updated_at
          initial_value: 2026-01-01T00:00:00Z
          start_param: since
    - name: clones
      endpoint: {path: traffic/clones, data_selector: clones, paginator: single_page}
      primary_key: timestamp
destination: {type: duckdb, path: data/teahouse.duckdb}
dataset: raw
"""


def rows(yard: Yard, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(yard.root / "data" / "teahouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def teahouse(sample_api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> SampleApi:
    monkeypatch.setenv("API_URL", sample_api.url)
    monkeypatch.setenv("TEAHOUSE_TOKEN", sample_api.token)
    return sample_api


def test_an_api_in_yaml_becomes_assets_that_load_it(yard: Yard, run: Any, teahouse: SampleApi) -> None:
    yard.ingest(
        TEAHOUSE + "schedule: '@hourly'\nchecks: [primary_key_unique]\nresources:\n  issues: {owners: [team:tea]}\n",
        component="RestApiComponent",
    )

    defs = yard.load()
    assets = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
    assert teahouse.requests == []
    result = run(assets)

    assert [asset.op.name for asset in assets] == ["teahouse__issues", "teahouse__clones"]
    specs = {spec.key.to_user_string(): spec for asset in assets for spec in asset.specs}
    assert specs["dlt_teahouse_issues"].owners == ["team:tea"]
    assert specs["dlt_teahouse_issues"].description == "Issues that changed."
    assert [schedule.name for schedule in defs.schedules or ()] == ["teahouse_schedule"]
    assert result.success
    assert rows(yard, "select count(*), count(distinct id) from raw.issues") == [(120, 120)]
    assert rows(yard, "select count(*) > 0 from raw.clones") == [(True,)]
    assert {request.query["since"] for request in teahouse.requests if request.path.endswith("/issues")} == {
        "2026-01-01T00:00:00Z"
    }


def test_partitions_are_windows_of_the_cursor(yard: Yard, run: Any, teahouse: SampleApi) -> None:
    yard.ingest(
        TEAHOUSE + "select: [issues]\npartitions: {type: daily, start_date: 2026-01-10}\n", component="RestApiComponent"
    )

    result = run(yard.assets(), partition_key="2026-01-12")

    assert result.success
    (found,) = rows(yard, "select count(*) > 0, min(updated_at), max(updated_at) from raw.issues")
    day = datetime(2026, 1, 12, tzinfo=UTC)
    assert found[0]
    assert found[1] >= day
    assert found[2] < datetime(2026, 1, 13, tzinfo=UTC)


def test_the_configuration_may_stand_in_a_file_of_its_own(yard: Yard, run: Any, teahouse: SampleApi) -> None:
    folder = yard.ingest(
        """
        api: teahouse.yaml
        destination: {type: duckdb, path: data/teahouse.duckdb}
        dataset: raw
        """,
        component="RestApiComponent",
        nothing="",
    )
    (folder / "teahouse.yaml").write_text(
        "client: {base_url: {env: API_URL}}\n"
        "resources: [{name: comments, endpoint: {path: repos/acme/teahouse/comments, paginator: header_link}}]\n"
    )

    result = run(yard.assets())

    assert result.success
    assert list(yard.specs()) == ["dlt_shop_comments"]
    assert rows(yard, "select count(*) from raw.comments") == [(60,)]


def test_every_wrong_key_is_told_with_its_place_and_line(yard: Yard) -> None:
    yard.ingest(
        """
        api:
          client: {base_url: "https://api.example", paginater: header_link}
          resources:
            - name: comments
              endpoint:
                path: posts/{resources.post.id}/comments
                paginator: {type: ofset}
        destination: {type: duckdb, path: data/x.duckdb}
        """,
        component="RestApiComponent",
    )

    told = yard.complaint()

    assert "is no key here. Did you mean 'paginator'?" in told
    assert "there is no resource 'post'. There is no other" in told
    assert "there is no paginator 'ofset'. Did you mean 'offset'?" in told
    assert "defs.yaml:4" in told
    assert "defs.yaml:9" in told


def test_the_schema_for_editors_holds_the_configuration() -> None:
    from dlt_orchestrate.dagster import RestApiComponent

    schema = RestApiComponent.get_model_cls().model_json_schema()

    api = schema["properties"]["api"]["anyOf"][1]
    assert list(api["properties"]) == ["client", "resource_defaults", "resources"]
    assert "$ref" not in str(api)
