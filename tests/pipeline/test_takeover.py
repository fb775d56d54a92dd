"""A dataset that dlt made goes on with this package: rows, names, variant columns and the cursor."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.state.document import encode_state

SCHEMA = {
    "version": 2,
    "version_hash": "made by hand",
    "engine_version": 11,
    "name": "github",
    "tables": {
        "_dlt_loads": {
            "columns": {"load_id": {"name": "load_id", "data_type": "text", "nullable": False, "precision": 64}},
            "write_disposition": "skip",
        },
        "issues": {
            "columns": {
                "id": {"name": "id", "nullable": False, "primary_key": True, "data_type": "bigint"},
                "updated_at": {"name": "updated_at", "incremental": True, "data_type": "timestamp", "nullable": True},
                "na_ve": {"name": "na_ve", "data_type": "text", "nullable": True},
                "_dlt_load_id": {"name": "_dlt_load_id", "data_type": "text", "nullable": False},
                "_dlt_id": {"name": "_dlt_id", "data_type": "text", "nullable": False, "unique": True, "row_key": True},
                "v": {"name": "v", "data_type": "bigint", "nullable": True},
                "v__v_text": {"name": "v__v_text", "data_type": "text", "nullable": True, "variant": True},
            },
            "write_disposition": "merge",
            "name": "issues",
            "resource": "issues",
        },
        "issues__labels": {
            "columns": {
                "name": {"name": "name", "data_type": "text", "nullable": True},
                "_dlt_root_id": {"name": "_dlt_root_id", "data_type": "text", "nullable": False, "root_key": True},
                "_dlt_parent_id": {"name": "_dlt_parent_id", "data_type": "text", "nullable": False, "parent_key": True},
                "_dlt_list_idx": {"name": "_dlt_list_idx", "data_type": "bigint", "nullable": False},
                "_dlt_id": {"name": "_dlt_id", "data_type": "text", "nullable": False, "unique": True, "row_key": True},
            },
            "name": "issues__labels",
            "parent": "issues",
        },
    },
    "settings": {"detections": ["iso_timestamp"]},
    "normalizers": {"names": "snake_case", "json": {"module": "dlt.common.normalizers.json.relational"}},
    "previous_hashes": [],
}

STATE = {
    "_state_version": 1,
    "_state_engine_version": 4,
    "pipeline_name": "github",
    "default_schema_name": "github",
    "schema_names": ["github"],
    "dataset_name": "github_data",
    "destination_type": "dlt.destinations.duckdb",
    "destination_name": None,
    "_version_hash": "made by hand",
    "sources": {
        "github": {
            "resources": {
                "issues": {
                    "incremental": {
                        "updated_at": {
                            "initial_value": "2020-01-01T00:00:00Z",
                            "last_value": "2024-01-02T00:00:00Z",
                            "start_value": "2020-01-01T00:00:00Z",
                            "unique_hashes": [],
                        }
                    }
                }
            }
        }
    },
}

TABLES = """
CREATE SCHEMA github_data;
CREATE TABLE github_data._dlt_version (
  version BIGINT NOT NULL, engine_version BIGINT NOT NULL, inserted_at TIMESTAMPTZ NOT NULL, schema_name VARCHAR NOT NULL,
  version_hash VARCHAR NOT NULL, schema VARCHAR NOT NULL);
CREATE TABLE github_data._dlt_loads (
  load_id VARCHAR NOT NULL, schema_name VARCHAR, status BIGINT NOT NULL, inserted_at TIMESTAMPTZ NOT NULL,
  schema_version_hash VARCHAR);
CREATE TABLE github_data._dlt_pipeline_state (
  version BIGINT NOT NULL, engine_version BIGINT NOT NULL, pipeline_name VARCHAR NOT NULL, state VARCHAR NOT NULL,
  created_at TIMESTAMPTZ NOT NULL, version_hash VARCHAR, _dlt_load_id VARCHAR NOT NULL, _dlt_id VARCHAR NOT NULL);
CREATE TABLE github_data.issues (
  id BIGINT NOT NULL, updated_at TIMESTAMPTZ, na_ve VARCHAR, _dlt_load_id VARCHAR NOT NULL, _dlt_id VARCHAR NOT NULL,
  v BIGINT, v__v_text VARCHAR);
CREATE TABLE github_data.issues__labels (
  name VARCHAR, _dlt_root_id VARCHAR NOT NULL, _dlt_parent_id VARCHAR NOT NULL, _dlt_list_idx BIGINT NOT NULL,
  _dlt_id VARCHAR NOT NULL);
INSERT INTO github_data._dlt_loads VALUES ('1700000000.5', 'github', 0, now(), 'made by hand');
INSERT INTO github_data._dlt_version VALUES (2, 11, now(), 'github', 'made by hand', $schema);
INSERT INTO github_data._dlt_pipeline_state VALUES (1, 4, 'github', $state, now(), 'made by hand', '1700000000.5', 'abc');
INSERT INTO github_data.issues VALUES
  (1, '2024-01-01T00:00:00Z', 'x', '1700000000.5', 'ddoxXI9WaCta2A', 1, NULL),
  (2, '2024-01-02T00:00:00Z', 'y', '1700000000.5', 'NYiyywILcjP9+g', NULL, 'two');
INSERT INTO github_data.issues__labels VALUES
  ('old', 'ddoxXI9WaCta2A', 'ddoxXI9WaCta2A', 0, '+jIFm/Px9knmqA'), ('old', 'NYiyywILcjP9+g', 'NYiyywILcjP9+g', 0, 'kept');
"""


@pytest.fixture
def made_by_dlt(project: Path) -> Path:
    file = project / "github.duckdb"
    with duckdb.connect(str(file)) as connection:
        for statement in TABLES.split(";\n"):
            parameters = {"schema": json.dumps(SCHEMA), "state": encode_state(STATE)}
            used = {name: text for name, text in parameters.items() if f"${name}" in statement}
            if statement.strip():
                connection.execute(statement, used or None)
    return file


@dlt.resource(primary_key="id", write_disposition="merge")
def issues(updated_at=dlt.sources.incremental("updated_at", initial_value="2020-01-01T00:00:00Z")):
    assert updated_at.last_value == "2024-01-02T00:00:00Z"
    yield [
        {"id": 1, "updated_at": "2023-01-01T00:00:00Z", "naïve": "too old"},
        {"id": 2, "updated_at": "2024-01-03T00:00:00Z", "naïve": "z", "v": "deux", "labels": [{"name": "new"}]},
        {"id": 3, "updated_at": "2024-01-04T00:00:00Z", "naïve": "w", "v": 3},
    ]


def test_a_dataset_that_dlt_made_goes_on(made_by_dlt: Path) -> None:
    pipeline = dlt.pipeline("github", destination="duckdb", dataset_name="github_data")
    assert not pipeline.first_run

    info = pipeline.run(issues())

    dataset = pipeline.dataset()
    assert dataset.issues.select("id", "na_ve", "v", "v__v_text").order_by("id").fetchall() == [
        (1, "x", 1, None),
        (2, "z", None, "deux"),
        (3, "w", 3, None),
    ]
    labels = dataset.query(
        "SELECT i.id, l.name FROM issues i JOIN issues__labels l ON l._dlt_parent_id = i._dlt_id ORDER BY 1"
    )
    assert labels.fetchall() == [(1, "old"), (2, "new")]
    assert dataset.issues.columns == ["id", "updated_at", "na_ve", "_dlt_load_id", "_dlt_id", "v", "v__v_text"]
    assert (info.resources["issues"].rows_inserted, info.resources["issues"].rows_updated) == (1, 1)
    assert pipeline.state["_state_version"] == 2
    assert pipeline.schemas["github"].naming == "snake_case"
    assert dataset.load_ids() == ["1700000000.5", info.loads_ids[0]]
