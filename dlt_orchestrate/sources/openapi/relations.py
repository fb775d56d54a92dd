"""Which resource the values in a path come from: `/users/{user_id}/posts` is asked for with each row of `users`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.http.detection import plain_name
from dlt_orchestrate.sources.openapi.names import is_placeholder, singular, slug
from dlt_orchestrate.sources.openapi.operations import Operation
from dlt_orchestrate.sources.openapi.records import Records, plain_fields, primary_key_of

_IDENTIFYING = "id uuid guid key slug name number login code username sku".split()


@dataclass(eq=False)
class Candidate:
    """A request that may become a resource.

    Attributes:
        path: With values and placeholders of configuration in place of the document's.
        parent: Whose rows it is asked for with.
        include_from_parent: What each row takes over from the parent's row.
        missing: The names that nothing is known to stand for.
        notes: What is to be checked.
    """

    name: str
    operation: Operation
    records: Records
    path: str = ""
    parent: Candidate | None = None
    include_from_parent: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_detail(self) -> bool:
        """Whether it gives one record by its key."""
        return not self.records.is_list and bool(self.operation.segments) and is_placeholder(self.operation.segments[-1])


def relate(candidates: Sequence[Candidate], values: Mapping[str, str]) -> None:
    """Fill in the path of each candidate, and its parent.

    Args:
        values: What is known of names in paths, by name.
    """
    lists = {
        tuple(one.operation.segments): one for one in candidates if one.records.is_list and one.operation.method == "GET"
    }
    for one in sorted(candidates, key=lambda one: len(one.operation.segments)):
        _relate(one, lists, values)


def _relate(one: Candidate, lists: Mapping[tuple[str, ...], Candidate], values: Mapping[str, str]) -> None:
    segments = one.operation.segments
    filled = list(segments)
    unknown: list[tuple[int, str]] = []
    for index, segment in enumerate(segments):
        for name in [name for name in one.operation.path_names if f"{{{name}}}" in segment]:
            if name in values:
                filled[index] = filled[index].replace(f"{{{name}}}", values[name])
            else:
                unknown.append((index, name))
    if unknown:
        one.parent = _parent_of(segments, unknown[-1][0], lists)
        for index, name in reversed(unknown):
            where = _field_for(one, name, segments, index, lists)
            if where is None:
                one.missing.insert(0, name)
                filled[index] = filled[index].replace(f"{{{name}}}", f"<{name}>")
            else:
                filled[index] = filled[index].replace(f"{{{name}}}", f"{{resources.{where}}}")
    one.path = "/".join(filled)


def _tell_whose(one: Candidate, name: str, parent: Candidate, key: str) -> None:
    """Have each record hold what tells whose it is, unless it does so by itself.

    Args:
        name: What stands for the parent's key in the path.
    """
    word = plain_name(singular(parent.name.rpartition("_")[2]))
    names = {plain_name(field) for field in one.records.shape.properties}
    own = {word, f"{word}id", f"{word}{plain_name(key)}"} | (
        {plain_name(name)} if plain_name(name) != plain_name(key) else set()
    )
    if not names & own:
        one.include_from_parent.append(key)


def _parent_of(segments: Sequence[str], index: int, lists: Mapping[tuple[str, ...], Candidate]) -> Candidate | None:
    """The list that stands right before a name in a path, if it can be asked for itself."""
    found = lists.get(tuple(segments[:index]))
    return None if found is None or found.missing else found


def _field_for(
    one: Candidate, name: str, segments: Sequence[str], index: int, lists: Mapping[tuple[str, ...], Candidate]
) -> str | None:
    """Where the value for a name stands, as `parent.field`; None if no resource has it."""
    parent = one.parent
    if parent is None:
        return None
    if lists.get(tuple(segments[:index])) is parent:
        key = _key_for(name, parent, one)
        _tell_whose(one, name, parent, key)
        return f"{parent.name}.{key}"
    holder = _ancestor(parent, lists.get(tuple(segments[:index])))
    if holder is None:
        return None
    child, ancestor = holder
    return f"{parent.name}.{_handed_down(parent, child, ancestor, _key_for(name, ancestor, one))}"


def _ancestor(parent: Candidate, wanted: Candidate | None) -> tuple[Candidate, Candidate] | None:
    """The ancestor that is wanted, and its child on the way to it."""
    child = parent
    while wanted is not None and child.parent is not None:
        if child.parent is wanted:
            return child, wanted
        child = child.parent
    return None


def _handed_down(parent: Candidate, child: Candidate, ancestor: Candidate, key: str) -> str:
    """Have each generation take a value over from the one before it; its name in the parent's rows."""
    way = [parent]
    while way[-1] is not child and way[-1].parent is not None:
        way.append(way[-1].parent)
    holder, name = ancestor, key
    for one in reversed(way):
        if name not in one.include_from_parent:
            one.include_from_parent.append(name)
        holder, name = one, f"_{holder.name}_{name}"
    return name


def _key_for(name: str, parent: Candidate, one: Candidate) -> str:
    """The field of a parent's record that a name in a path stands for."""
    record = parent.records.shape
    plain = plain_fields(record)
    wanted = plain_name(name)
    key = primary_key_of(record, parent.name)
    word = plain_name(singular(slug(parent.name).rpartition("_")[2]))
    rest = wanted.removeprefix(word)
    if wanted in plain and wanted != "id":
        return plain[wanted]
    if rest in plain:
        return plain[rest]
    ending = next((ending for ending in _IDENTIFYING if wanted.endswith(ending) and ending in plain), None)
    if ending is not None:
        found, is_sure = plain[ending], ending in ("id", "uuid", "guid")
    elif key is not None:
        found, is_sure = key[0], False
    else:
        found, is_sure = "id", False
    if not is_sure:
        one.notes.append(f"that {{{name}}} is the field {found!r} of {parent.name}")
    return found
