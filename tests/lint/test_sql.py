"""SQL is built of quoted identifiers and literals only, and nothing in the package runs code or trusts blindly."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dlt_orchestrate"
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}

_STATEMENT = re.compile(
    r"^\W*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER TABLE|DROP|TRUNCATE|MERGE|COPY|SET|ATTACH|COMMENT ON|WITH)\b|"
    r"\b(FROM|INTO|JOIN|WHERE|TABLE|PARTITION BY|ORDER BY|SEMI JOIN)\s+$|\b(SELECT|WHERE|RETURNING)\s"
)

SAFE_CALLS = frozenset(
    "quoted literal literal_list value qualified sql_type column_list is_one_of is_same is_dataset same_key in_range "
    "in_order_of_python sortable comparable definition place_among create_dataset create_table create_temporary "
    "create_temporary_of add_columns alter_type comment_on insert insert_arriving with_ids with_root_ids give_ids "
    "delete_surplus delete_old forget_attempts newest_load newest_state newest_schemas columns_of_dataset lock_key name "
    "joined _literal _settings_as try_lock _is_held _name _temporary_name _place_in _found _same_key _statement".split()
)
"""What returns text that may stand in SQL: the quoting helpers, statements of the `sql` modules, qualified names."""

SAFE_VARIABLES = {
    "destinations/duckdb_file/sql.py": "table arriving compression",
    "destinations/duckdb_file/connection.py": "before",
    "destinations/duckdb_file/snapshot.py": "commits queries query",
    "destinations/postgresql/sql.py": "table commits high low key seconds",
    "destinations/postgresql/transaction.py": "temporary",
    "destinations/postgresql/connection.py": "asked settings pid key",
    "destinations/sql/dialect.py": "table staged nested row left right text place query origin commits",
    "destinations/sql/snapshot.py": "state loads version",
    "destinations/sql/text.py": "identifier quotes_doubled text",
    "destinations/sql/transaction.py": "found root ids clause query number chosen",
    "dagster/checks.py": "chosen rows",
    "dagster/partitions.py": "within further",
    "cli/overview.py": "sources",
    "pipeline/dataset.py": "number",
    "sources/sql_database/postgres_catalog.py": "selected",
}
"""Parameters and loop variables that hold such text. A new one is added here after a look at it."""

SAFE_ATTRIBUTES = frozenset(
    "memory_limit threads precision scale _surplus_columns row_limit relation place temporary ends_with_transaction".split()
)
"""Settings of the destination, numbers, temporary tables of ours, and what a dialect calls things."""

LEFT_OUT = ("testing/",)
"""Promises about destinations, which query tables that they have named themselves."""

Values = dict[str, list[ast.expr]]


def sql_strings(tree: ast.AST) -> Iterator[ast.JoinedStr]:
    """The f-strings that look like SQL; messages for people are none."""
    messages = {id(node) for call in ast.walk(tree) if _is_message(call) for node in ast.walk(call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in messages:
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            if any(_STATEMENT.search(part) for part in parts):
                yield node


def _is_message(node: ast.AST) -> bool:
    """Whether a call says something to people: it makes an exception, or prints or logs."""
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    is_error = name.endswith(("Error", "Unholdable", "_conflict", "Exception")) or name == "super().__init__"
    return is_error or "echo" in name or name.startswith(("logger.", "_log.", "warnings."))


def unsafe_parts(module: str, tree: ast.Module) -> list[str]:
    """What is put into SQL and is neither quoted nor made of what is."""
    known = set(SAFE_VARIABLES.get(module, "").split())
    found = []
    sql = {id(node) for node in sql_strings(tree)}
    for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
        values = _values_of_names(scope)
        for node in _own_nodes(scope):
            if isinstance(node, ast.JoinedStr) and id(node) in sql:
                found += [
                    f"{module}:{part.lineno}: {ast.unparse(part.value)}"
                    for part in node.values
                    if isinstance(part, ast.FormattedValue) and not _is_safe(part.value, values, known)
                ]
    return found


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own_nodes(child)


def _values_of_names(scope: ast.AST) -> Values:
    """Everything that is assigned to each variable of a scope, or appended to it."""
    values: Values = {}
    for node in _own_nodes(scope):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    _assign(target, value, values)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                _assign(target, value, values)
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                values.setdefault(name, []).append(value)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value]):
                values.setdefault(name, []).append(value)
            case ast.For(target=ast.Name(id=name), iter=value):
                values.setdefault(name, []).append(value)
    return values


def _assign(target: ast.expr, value: ast.expr, values: Values) -> None:
    match target, value:
        case ast.Name(id=name), _:
            values.setdefault(name, []).append(value)
        case ast.Tuple(elts=targets), ast.Tuple(elts=parts) if len(targets) == len(parts):
            for one, part in zip(targets, parts, strict=True):
                _assign(one, part, values)
        case ast.Tuple(elts=targets), ast.Call():
            for one in targets:
                _assign(one, value, values)


def _is_safe(value: ast.expr, values: Values, known: set[str]) -> bool:
    def safe(other: ast.expr) -> bool:
        return _is_safe(other, values, known)

    match value:
        case ast.Constant():
            return True
        case ast.Name(id=name) if name in values:
            assigned = values[name]
            rest = {other: found for other, found in values.items() if other != name}
            return name in known or all(_is_safe(one, rest, known | {name}) for one in assigned)
        case ast.Name(id=name):
            return name in known or name.isupper()
        case ast.Attribute(attr=name):
            return name in SAFE_ATTRIBUTES
        case ast.IfExp(body=body, orelse=orelse):
            return safe(body) and safe(orelse)
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            return all(map(safe, parts))
        case ast.Dict(values=parts):
            return all(map(safe, parts))
        case ast.Starred(value=inner) | ast.Subscript(value=inner):
            return safe(inner)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return safe(left) and safe(right)
        case ast.BinOp(op=ast.Mult(), left=ast.Constant()):
            return True
        case ast.JoinedStr(values=parts):
            return all(safe(part.value) for part in parts if isinstance(part, ast.FormattedValue))
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return safe(element)
        case ast.DictComp(value=element):
            return safe(element)
        case ast.Call(func=ast.Name(id="map"), args=[function, *_]):
            return ast.unparse(function).rsplit(".", 1)[-1] in SAFE_CALLS
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[joined]):
            return safe(joined)
        case ast.Call(func=ast.Attribute(value=inner, attr="replace")):
            return safe(inner)
        case ast.Call(func=function):
            # The last few give text of digits and punctuation.
            name = ast.unparse(function).rsplit(".", 1)[-1]
            return name in SAFE_CALLS or name in ("isoformat", "max", "int", "len", "next")
        case _:
            return False


def test_whatever_stands_in_sql_is_quoted() -> None:
    assert [
        part for module, tree in TREES.items() if not module.startswith(LEFT_OUT) for part in unsafe_parts(module, tree)
    ] == []


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ('f"SELECT * FROM {table}"', ["table"]),
        ('f"SELECT * FROM {quoted(table)} WHERE x = {user.name}"', ["user.name"]),
        ('f"DROP TABLE {self._name(table)}"', []),
        ('f"INSERT INTO {quoted(t)} SELECT {chosen}"', ["chosen"]),
        ('f"... WHERE {quoted(c)} = {input()}"', ["input()"]),
        ("f\"SET search_path = '{schema}'\"", ["schema"]),
        ("f\"SELECT {', '.join(columns)} FROM x\"", ["', '.join(columns)"]),
        ("f\"SELECT {', '.join(map(quoted, columns))} FROM x\"", []),
        ("f\"SELECT {', '.join(quoted(c) for c in columns)} FROM x\"", []),
        ("column = f'{quoted(name)}'\nf'SELECT {column} FROM {quoted(t)}'", []),
        ("column = name\nf'SELECT {column} FROM {quoted(t)}'", ["column"]),
        ("parts = []\nparts.append(name)\nf'SELECT {parts[0]}'", ["parts[0]"]),
        ("f'SELECT * FROM {quoted(t)} WHERE ' + f'x = {y}'", []),
        ('raise SomeError(f"Select a table: {table}")', []),
    ],
)
def test_the_lint_tells_quoted_from_unquoted(code: str, unsafe: list[str]) -> None:
    found = unsafe_parts("some.py", ast.parse(textwrap.dedent(code)))

    assert [text.split(": ", 1)[1] for text in found] == unsafe


def test_no_sql_is_put_together_by_other_means() -> None:
    """By `%`, by `format`, or by adding: that would escape the lint of f-strings."""
    allowed = {("cli/overview.py", "format")}
    found = []
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            match node:
                case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()) if re.match(r"\s*[A-Z]+ .*\bFROM\b", text):
                    found.append((module, "%"))
                case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant(value=str(text)))) if "SELECT" in text:
                    found.append((module, "format"))
    assert set(found) <= allowed


FORBIDDEN_CALLS = frozenset(
    "eval exec compile __import__ pickle.load pickle.loads pickle.dump pickle.dumps marshal.loads shelve.open "
    "yaml.load yaml.unsafe_load yaml.full_load os.system os.popen".split()
)
FORBIDDEN_MODULES = frozenset({"pickle", "marshal", "shelve", "dill", "cloudpickle"})
FORBIDDEN_ARGUMENTS = {"shell": True, "verify": False}
WITHIN_THE_PROCESS = {f"sources/rest_api/sharing.py: {what}" for what in ("import of pickle", "pickle.dumps")}
"""Pages of a parent are kept packed in memory until its children have read them; nothing comes from outside."""
OF_NAMES_OF_FIELDS = {"dataclass.py: exec"}
"""The `__init__` of a dataclass is written out of the names of its fields, as `dataclasses` does it."""


def test_nothing_runs_text_as_code_or_trusts_without_looking() -> None:
    found = []
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                found += [f"{module}: import of {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                found += [f"{module}: {name}"] if name in FORBIDDEN_CALLS else []
                for keyword in node.keywords:
                    value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                    if keyword.arg in FORBIDDEN_ARGUMENTS and value is FORBIDDEN_ARGUMENTS[keyword.arg]:
                        found.append(f"{module}: {name}({keyword.arg}={value})")
    assert set(found) - WITHIN_THE_PROCESS - OF_NAMES_OF_FIELDS == set()
