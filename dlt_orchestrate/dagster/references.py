"""Where the code of an asset stands: a link in Dagster's UI."""

import inspect
import warnings
from typing import Any

from dagster import BetaWarning, CodeReferencesMetadataValue, LocalFileCodeReference

from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source


def code_references(source: Source, resource: Resource | None) -> dict[str, Any]:
    """The metadata that links to the function of a resource, or of its source; empty if neither stands in a file."""
    function = inspect.unwrap((resource.function if resource else None) or source.function)
    try:
        file, (_, line) = inspect.getsourcefile(function), inspect.getsourcelines(function)
    except (OSError, TypeError):
        return {}
    if file is None:
        return {}
    name = getattr(function, "__qualname__", resource.name if resource else source.name).replace("<locals>.", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)  # code references are beta in Dagster, and a link only
        reference = LocalFileCodeReference(file_path=file, line_number=line, label=name)
        return {"dagster/code_references": CodeReferencesMetadataValue(code_references=[reference])}
