"""A draft as YAML that explains itself: what was guessed stands beside what it became."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import yaml

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.sources.openapi.draft import Draft, DraftedResource

CHECK = "CHECK"
_MOST_LEFT_OUT = 200
_FLOW_KEYS = frozenset(("secret",))


def written(draft: Draft) -> str:
    """The text of a draft."""
    return "\n".join(_lines(draft)) + "\n"


def _lines(draft: Draft) -> Iterator[str]:
    what = " ".join(filter(None, (draft.title, draft.version)))
    yield from _comment(f"Drafted from the OpenAPI document of {what} ({redact_url(draft.location)}).")
    yield from _comment(
        f"Lines with {CHECK} are guesses. Secrets are named here, and stand in secrets.toml or the environment."
    )
    yield ""
    yield "client:"
    yield from _comment(*_checks(draft.client_checks), indent=2)
    yield from _mapping(draft.client, indent=2)
    if draft.resource_defaults:
        yield ""
        yield "resource_defaults:"
        yield from _mapping(draft.resource_defaults, indent=2)
    yield ""
    yield "resources:" if draft.resources else "resources: []"
    for resource in draft.resources:
        yield from _resource(resource)
        yield ""
    if draft.incomplete:
        yield from _comment(
            "These need a value first: pass --value NAME=VALUE for what stands in <>, or fill it in and take the # away."
        )
        for resource in draft.incomplete:
            yield from (f"# {line}".rstrip() for line in _resource(resource))
            yield "#"
    if draft.left_out:
        yield from _comment("Left out:")
        for request, reason in draft.left_out[:_MOST_LEFT_OUT]:
            yield from _comment(f"  {request}: {reason}")
        if len(draft.left_out) > _MOST_LEFT_OUT:
            yield from _comment(f"  and {len(draft.left_out) - _MOST_LEFT_OUT} more")


def _resource(resource: DraftedResource) -> Iterator[str]:
    yield from _comment(resource.summary, *_checks(resource.checks), indent=2)
    first, *others = _mapping(resource.config, indent=4)
    yield f"  - {first.lstrip()}"
    yield from others
    for told, suggestion in resource.suggestions:
        yield from _comment(f"{told[:1].upper()}{told[1:]}:", indent=6)
        yield from (f"      # {line}" for line in _mapping(suggestion, indent=0))


def _checks(checks: tuple[str, ...]) -> Iterator[str]:
    return (f"{CHECK} {check}" for check in checks)


def _mapping(mapping: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    for key, value in mapping.items():
        start = f"{' ' * indent}{_scalar(key)}:"
        if isinstance(value, Mapping) and value and not (value.keys() <= _FLOW_KEYS):
            yield start
            yield from _mapping(value, indent=indent + 2)
        else:
            yield f"{start} {_scalar(value)}"


def _scalar(value: Any) -> str:
    """A value in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=inf, allow_unicode=True, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def _comment(*texts: str, indent: int = 0) -> Iterator[str]:
    for text in texts:
        yield f"{' ' * indent}# {' '.join(text.splitlines())}".rstrip()
