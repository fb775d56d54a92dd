"""The version of an asset's code: it changes when the resource's function or what is declared of it changes."""

import hashlib

from dlt_orchestrate.declare.code_text import source_of, text_of
from dlt_orchestrate.declare.recipe import DECLARED_AS
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source


def code_version(source: Source, resource: Resource) -> str | None:
    """A hash of the resource's function (of the source's, if it has none), its pipe and its hints.

    Arguments and configuration are no part of it: they are values, and may be secret. None if the code has no text, as on
    a prompt.
    """
    function = resource.function or source.function
    try:
        text = source_of(function)
    except (OSError, TypeError):
        return None
    made_for = (told,) if (told := getattr(function, DECLARED_AS, None)) is not None else ()
    declared = (resource.declared, resource.incremental, resource.steps, resource.limit, *made_for)
    return hashlib.sha256(f"{text}\n{text_of(declared)}".encode()).hexdigest()[:16]
