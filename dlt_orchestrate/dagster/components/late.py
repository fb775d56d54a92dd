"""Values that YAML only names: they are read in the step, never while definitions load."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from dagster import EnvVar

from dlt_orchestrate.config.redaction import looks_secret
from dlt_orchestrate.config.references import TEMPLATE, Late, LateText, named_by_template, named_value
from dlt_orchestrate.errors import ComponentError

_ENV_NAME = re.compile(r"""\benv(?:\.(?P<attribute>\w+)|\(\s*['"](?P<called>\w+)['"])""")

Render = Callable[[str, str], Any]
"""Carries out the templates of a text that stands at a place, and gives what comes of them."""


def late(value: Any, place: str, render: Render = lambda text, _: text, *, mappings: bool = True) -> Any:
    """The value with a `Late` wherever it names a secret or a variable, at any depth; other templates are carried out.

    Named are they as `{secret: NAME}`, `{env: NAME}`, `{{ env.NAME }}` or by a template that gives an `EnvVar`.

    Args:
        mappings: Whether a mapping may name a value; else that is for somebody else to say.

    Raises:
        ComponentError: A template does more with a variable than to name it.

    >>> late({"token": {"secret": "GITHUB_TOKEN"}}, "args")["token"].name
    'GITHUB_TOKEN'
    """
    if isinstance(value, str):
        value = _of_text(value, place, render)
    if isinstance(value, EnvVar):
        return Late(value.env_var_name)
    if isinstance(value, Mapping):
        named = named_value(value) if mappings else None
        parts = value.items() if named is None else ()
        return named or {key: late(part, f"{place}.{key}", render, mappings=mappings) for key, part in parts}
    if isinstance(value, list | tuple):
        return [late(part, f"{place}.{index}", render, mappings=mappings) for index, part in enumerate(value)]
    return value


def expect_no_secret(template: str, place: str) -> None:
    """Refuse a template that would show a secret in the definitions, or a variable that is not set.

    Raises:
        ComponentError: It does.
    """
    for found in _ENV_NAME.finditer(template):
        name = found["attribute"] or found["called"]
        if looks_secret(name):
            raise ComponentError(
                place=place,
                problem=f"{{{{ env.{name} }}}} would be read while definitions load, and shown. "
                "Secrets belong in 'args' and 'destination', where they are read in the step",
            )
        if found["attribute"] and name not in os.environ:
            raise ComponentError(
                place=place,
                problem=f"the environment has no variable {name}. Set it, or write {{{{ env('{name}', 'a default') }}}}",
            )


def _of_text(text: str, place: str, render: Render) -> Any:
    parts: list[str | Late] = []
    end = 0
    for template in TEMPLATE.finditer(text):
        if _ENV_NAME.search(template[1]) is None:
            continue
        named = named_by_template(template[1])
        if named is None:
            raise ComponentError(
                place=place,
                problem=f"{template[0]} does more with a variable than to name it, and this value is read in the step. "
                "Write {secret: NAME} or {{ env.NAME }}, and do the rest in the source",
            )
        parts += [text[end : template.start()], named]
        end = template.end()
    if not parts:
        return render(text, place)
    texts = [part for part in (*parts, text[end:]) if part != ""]
    if len(texts) == 1:
        return texts[0]
    return LateText(tuple(part if isinstance(part, Late) else str(render(part, place)) for part in texts))
