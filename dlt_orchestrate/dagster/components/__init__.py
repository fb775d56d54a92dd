"""Loads declared in YAML: `type: dlt_orchestrate.dagster.IngestComponent` in a `defs.yaml`."""

from dlt_orchestrate.dagster.components.collection import IngestCollectionComponent
from dlt_orchestrate.dagster.components.discovered import DiscoveredIngestComponent
from dlt_orchestrate.dagster.components.files import FilesystemComponent
from dlt_orchestrate.dagster.components.ingest import IngestComponent
from dlt_orchestrate.dagster.components.rest_api import RestApiComponent
from dlt_orchestrate.dagster.components.sql_database import SqlDatabaseComponent

__all__ = [
    "DiscoveredIngestComponent",
    "FilesystemComponent",
    "IngestCollectionComponent",
    "IngestComponent",
    "RestApiComponent",
    "SqlDatabaseComponent",
]
