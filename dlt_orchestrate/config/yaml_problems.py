"""What is wrong with YAML, without the lines that it stands in: they may hold secrets."""

from __future__ import annotations

_ENDS_WITH_TEXT = ("found undefined alias", "could not determine a constructor for the tag")
"""How problems begin whose end repeats what was written: a password that begins with * or ! is an alias or a tag."""


def yaml_problem(error: Exception) -> str:
    """What the parser says of its text, and where.

    >>> import yaml
    >>> try:
    ...     yaml.safe_load("password: {secret: s3cret: x}")
    ... except yaml.YAMLError as error:
    ...     yaml_problem(error)
    "expected ',' or '}', but got ':', in line 1, column 26"
    """
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None:
        return " ".join(str(error).split())
    told = next((beginning for beginning in _ENDS_WITH_TEXT if problem.startswith(beginning)), problem)
    return told if mark is None else f"{told}, in line {mark.line + 1}, column {mark.column + 1}"
