"""Names in Dagster: of ops, which allow few characters, and of assets, which keep dagster-dlt's."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from dagster import AssetKey

SOURCE = "dlt_orchestrate/source"
RESOURCE = "dlt_orchestrate/resource"
CURSOR = "dlt_orchestrate/cursor"
UPSTREAM = "dlt_orchestrate/upstream"
PARENT = "dlt_orchestrate/parent"
PARENT_ASSET = "dlt_orchestrate/parent_asset"
"""Names of the spec's metadata that tie an asset to its resource, whatever its key: the resource and the source, the field
that its cursor reads, the asset of the system that it is read from, and the resource that feeds it, with its asset."""

_NOT_IN_OP_NAME = re.compile(r"[^A-Za-z0-9_]")
_NOT_IN_ASSET_KEY = re.compile(r"[^A-Za-z0-9_.-]")


def op_names(prefix: str, resources: Iterable[str]) -> dict[str, str]:
    """A legal op name for each resource; names that would fall together get a tag made of the name itself.

    >>> op_names("github", ["issues", "traffic/clones"])
    {'issues': 'github__issues', 'traffic/clones': 'github__traffic_clones'}
    >>> op_names("github", ["traffic/clones", "traffic_clones"])
    {'traffic/clones': 'github__traffic_clones_d1dd6a', 'traffic_clones': 'github__traffic_clones'}
    """
    slugs = {name: op_name(name) for name in resources}
    uses = Counter(slugs.values())
    return {
        name: f"{op_name(prefix)}__{slug}" + ("" if slug == name or uses[slug] == 1 else f"_{_tag(name)}")
        for name, slug in slugs.items()
    }


def op_name(name: str) -> str:
    """The name with everything replaced that Dagster does not allow in the name of an op.

    >>> op_name("traffic/clones")
    'traffic_clones'
    """
    return _NOT_IN_OP_NAME.sub("_", name)


def default_asset_key(source: str, resource: str) -> AssetKey:
    """dagster-dlt's key, so that an asset that moves here keeps its history.

    A character that no asset key can hold (dagster-dlt refuses such resources) becomes an underscore.

    >>> default_asset_key("github", "traffic/clones").path
    ['dlt_github_traffic_clones']
    """
    return AssetKey(_NOT_IN_ASSET_KEY.sub("_", f"dlt_{source}_{resource}"))


def default_upstream_key(source: str) -> AssetKey:
    """The key of the system that a source reads.

    >>> default_upstream_key("github").path
    ['source', 'github']
    """
    return AssetKey(["source", _NOT_IN_ASSET_KEY.sub("_", source)])


def _tag(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:6]
