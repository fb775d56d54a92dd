"""Where the code of an asset stands: a link in Dagster's UI."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from dagster import BetaWarning, CodeReferencesMetadataValue, LocalFileCodeReference

from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source


def code_references(source: Source, resource: Resource | None) -> dict[str, Any]:
    """The metadata that links to the function of a resource, or of its source; empty if neither is there to be read.

    Ready-made sources are no such place: what one would change there is how they were declared.
    """
    written = [inspect.unwrap(made) for made in (resource and resource.function, source.function) if made is not None]
    function = next((one for one in written if not is_ready_made(one)), None)
    place = _place(function) if function is not None else None
    if place is None:
        return {}
    file, line = place
    name = getattr(function, "__qualname__", resource.name if resource else source.name).replace("<locals>.", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)  # code references are beta in Dagster, and a link only
        reference = LocalFileCodeReference(file_path=file, line_number=line, label=name)
        return {"dagster/code_references": CodeReferencesMetadataValue(code_references=[reference])}


def _place(function: Callable[..., Any]) -> tuple[str, int] | None:
    """The file and line where a function begins; None if it stands in no file."""
    code = getattr(function, "__code__", None)
    try:
        file = inspect.getsourcefile(function)
        # The code knows its line; to find it in the text, `inspect` reads the whole function.
        line = code.co_firstlineno if code is not None else inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return None
    return (file, line) if file is not None else None


def is_ready_made(function: Callable[..., Any]) -> bool:
    """Whether the function is one of this package."""
    return str(getattr(function, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]
