"""How a resource is shown as an asset; subclass the translator to show it otherwise."""

from collections.abc import Sequence
from dataclasses import field

from dagster import AssetSpec

from dlt_orchestrate.dagster.automation import automation_condition, freshness_policy
from dlt_orchestrate.dagster.checks import Check, CheckName
from dlt_orchestrate.dagster.code_version import code_version
from dlt_orchestrate.dagster.naming import CURSOR, RESOURCE, SOURCE, default_asset_key
from dlt_orchestrate.dagster.references import code_references
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source


@dataclass(frozen=True)
class ResourceTranslatorData:
    """What is known of a resource while definitions load.

    Attributes:
        source: The recipe; nothing of it has been run.
        resource: The declared resource; None where only its name was given.
        table_name: The full name of its table in the destination; None if it depends on the records or on a secret.
        hints: What is declared of the asset, at the resource or where the assets are made.
    """

    resource_name: str
    source: Source
    pipeline_name: str
    destination_name: str
    resource: Resource | None = None
    table_name: str | None = None
    hints: AssetHints = field(default_factory=AssetHints)

    @property
    def source_name(self) -> str:
        """The source's name, which the default asset key holds."""
        return self.source.name

    @property
    def cursor_path(self) -> str | None:
        """The field that the resource's own cursor reads; None if it has none, or is not known."""
        cursor = self.resource.incremental if self.resource else None
        return cursor.cursor_path if cursor else None


class DltTranslator:
    """Gives each resource its asset spec.

    Subclasses override `get_asset_spec`, usually by replacing attributes of what `super()` returns. The key may be any:
    which resource an asset belongs to stands in the spec's metadata, where it is put back if a translator drops it. A
    `partitions_def` of a spec goes before that of all assets.
    """

    def get_asset_spec(self, data: ResourceTranslatorData) -> AssetSpec:
        """The asset of one resource."""
        cursor_path = data.cursor_path
        return AssetSpec(
            key=default_asset_key(data.source_name, data.resource_name),
            description=data.resource.description if data.resource else None,
            group_name=data.hints.group,
            owners=list(data.hints.owners),
            tags=data.hints.tags,
            kinds={"dlt", data.destination_name, *data.hints.kinds},
            automation_condition=automation_condition(data.hints, resource=data.resource_name),
            freshness_policy=freshness_policy(data.hints),
            code_version=code_version(data.source, data.resource) if data.resource else None,
            metadata={
                SOURCE: data.source_name,
                RESOURCE: data.resource_name,
                "dlt_orchestrate/pipeline": data.pipeline_name,
                **({CURSOR: cursor_path} if cursor_path else {}),
                **({"dagster/table_name": data.table_name} if data.table_name else {}),
                **code_references(data.source, data.resource),
            },
        )

    def get_checks(self, data: ResourceTranslatorData) -> Sequence[CheckName | Check]:  # noqa: ARG002 - for subclasses
        """What is checked of this resource's asset, beside what is checked of all; a check of the same name goes before."""
        return ()
