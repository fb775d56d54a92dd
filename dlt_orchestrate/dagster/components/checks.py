"""Checks as YAML names them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dagster.checks import Check, CheckName, to_checks
from dlt_orchestrate.errors import ComponentError, DeclarationError

CheckSettings = Sequence[str | Mapping[str, Mapping[str, Any]]]
"""Names of checks, or a name with its settings."""


def checks_of(settings: CheckSettings, place: str) -> list[Check | CheckName]:
    """The checks that are named.

    Raises:
        ComponentError: There is no such check, or no such setting of it.
    """
    return [_check(told, f"{place}.{at}") for at, told in enumerate(settings)]


def _check(told: str | Mapping[str, Mapping[str, Any]], place: str) -> Check | CheckName:
    """A check by its name, with its settings if there are some."""
    if not isinstance(told, str) and len(told) != 1:
        raise ComponentError(place=place, problem=f"one check is expected here, and {len(told)} are given")
    name, given = (told, {}) if isinstance(told, str) else next(iter(told.items()))
    try:
        (check,) = to_checks([name])  # type: ignore[list-item]
    except DeclarationError as error:
        raise ComponentError(place=place, problem=str(error).removeprefix("checks: ")) from None
    if not given:
        return check
    known = [field.name for field in fields(check)]  # type: ignore[arg-type]
    if wrong := next((setting for setting in given if setting not in known), None):
        raise ComponentError(place=f"{place}.{name}", problem=f"{wrong!r} is no setting of it. {meant(wrong, known)}")
    return type(check)(**given)
