"""Every exception of the package, ordered by what its reader does next.

    IngestError
    ├── DeclarationError        change the code that declares the pipeline, source or resource
    │   ├── InvalidPipelineNameError, UnknownDestinationError
    │   ├── ResourceNameMissingError, InvalidResourceDataError, UnknownResourceError
    │   ├── InvalidPathError, ComponentError, OpenApiDocumentError, RestApiConfigError
    │   ├── SourceExhaustedError, SourceEmptyError, SourceNotEvaluatedError
    │   └── InvalidArgumentsError
    ├── ConfigError             change the configuration or the secrets
    │   ├── ConfigFieldMissingError, InvalidCredentialsError, InvalidSettingError, MissingExtraError
    │   ├── InvalidRateLimitError, InvalidPrivateKeyError
    │   ├── DatabaseCredentialsError
    │   ├── ConfigValueCoercionError, ValueNotSecretError, ConfigFileError, SchemaFileError
    │   └── UnknownNamingConventionError, NamingConventionConflictError
    ├── ExtractError            look at the source: its address, its credentials, its answers
    │   ├── SourceFailedError, ResourceCodeError
    │   ├── RequestFailedError, ResponseNotJsonError, ParentRowError
    │   ├── PaginationError, ForeignOriginError, PrivateAddressError
    │   ├── FilesNotListedError, FileReadError, FileChangedError
    │   ├── DatabaseReadError
    │   ├── ResourceOutOfBoundsError, NestedTooDeeplyError, IgnoreResponseException
    │   ├── PositionLostError
    │   └── CursorFieldMissingError, CursorValueError
    ├── SchemaError             look at the values or the column hints
    │   ├── ColumnTypeConflictError, TableConflictError, SchemaContractError, WindowConflictError
    │   ├── HintedColumnMissingError, DataValidationError
    │   └── TooManyRejectsError, SchemaDocumentError
    ├── LoadError               look at the destination, or run again
    │   ├── CommitConflictError, StateConflictError
    │   ├── CommitLostError, CommitOutcomeUnknownError
    │   ├── DestinationLockedError, DestinationUnavailableError, DestinationRefusedError
    │   ├── DatasetNotFoundError
    │   └── SystemTablesNewerError
    └── PipelineStepFailed      wraps one of the above with the pipeline and the step; read its __cause__

Each carries the facts of its message as attributes, so that code can act on them.

Two more are no errors but tell a run to stop, past every `except Exception`: `TerminatedError` and `RunStoppedError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class IngestError(Exception):
    """Base of every exception that this package raises on purpose; it can be pickled, with its facts."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[IngestError], arguments: tuple[Any, ...], facts: dict[str, Any]) -> IngestError:
    """The error of another process."""
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(facts)
    return error


class TerminatedError(SystemExit):
    """The process was told to end (SIGTERM) while it ran a pipeline. Its exit code is 143."""

    def __init__(self) -> None:
        super().__init__(128 + 15)


class RunStoppedError(BaseException):
    """Raised in the threads of a run that was told to stop."""


# --- change the code -------------------------------------------------------------------------------------------


class DeclarationError(IngestError):
    """A pipeline, source, resource or hint is declared in a way that cannot work."""


class InvalidPipelineNameError(DeclarationError):
    """A pipeline name cannot be a file name."""

    def __init__(self, *, pipeline_name: str) -> None:
        self.pipeline_name = pipeline_name
        super().__init__(
            f"Pipeline name {pipeline_name!r} cannot be used: it names files, so it must not be empty, be '.' or '..', "
            "or contain any of / \\ : * ? \" < > | or control characters. Choose a name such as 'github_issues'."
        )


class UnknownDestinationError(DeclarationError):
    """A destination name is not known, or none was given; `likely` says which was meant, if any comes near."""

    def __init__(self, *, pipeline_name: str, destination: str | None, known: Iterable[str], likely: str = "") -> None:
        self.pipeline_name = pipeline_name
        self.destination = destination
        self.known = tuple(sorted(known))
        found = "no destination was given" if destination is None else f"there is no destination {destination!r}"
        super().__init__(
            f"Pipeline {pipeline_name!r}: {found}. {likely}{' ' if likely else ''}Known are: {', '.join(self.known)}. "
            f"Pass destination={self.known[0]!r} to pipeline(...) or run(...), or an object with read_state and commit."
        )


class ResourceNameMissingError(DeclarationError):
    """Bare data was given without a name for its resource or table."""

    def __init__(self, *, data_type: str) -> None:
        self.data_type = data_type
        super().__init__(
            f"The data ({data_type}) has no name of its own, so its table is unknown. "
            "Pass table_name='...' to run(...), or name='...' to resource(...)."
        )


class InvalidResourceDataError(DeclarationError):
    """Data of a type that holds no records was given to a resource."""

    def __init__(self, *, resource: str, data_type: str, advice: str) -> None:
        self.resource = resource
        self.data_type = data_type
        super().__init__(
            f"Resource {resource!r}: data of type {data_type} cannot be loaded; expected a list, a generator, an iterable "
            f"or a function that returns one. {advice}"
        )


class UnknownResourceError(DeclarationError):
    """A source has no resource of that name; `likely` says which was meant, if any comes near."""

    def __init__(self, *, source: str, asked: Iterable[str], known: Iterable[str], likely: str = "") -> None:
        self.source = source
        self.asked = tuple(asked)
        self.known = tuple(known)
        super().__init__(
            f"Source {source!r} has no resource {', '.join(map(repr, self.asked))}. {likely}{' ' if likely else ''}"
            f"It has: {', '.join(map(repr, self.known)) or 'none'}."
        )


class SourceExhaustedError(DeclarationError):
    """A resource made from a running generator was read a second time."""

    def __init__(self, *, resource: str) -> None:
        self.resource = resource
        super().__init__(
            f"Resource {resource!r} was made from a running generator, which can be read only once, and it has been read. "
            "Give the resource the generator function instead of its result, or create the resource inside a "
            "@source function: that is called afresh for every run."
        )


class SourceEmptyError(DeclarationError):
    """A source function returned no resources."""

    def __init__(self, *, source: str, found: str) -> None:
        self.source = source
        super().__init__(
            f"Source {source!r} returned {found} instead of resources. "
            "Return a resource or a list of resources, or yield them one by one."
        )


class SourceNotEvaluatedError(DeclarationError):
    """A source cannot tell its resources while definitions load, where values of its configuration may be missing."""

    def __init__(self, *, source: str, cause: BaseException) -> None:
        self.source = source
        told = f": {cause}" if isinstance(cause, IngestError) else ""
        ended = told if told.endswith((".", "?")) else f"{told}."
        super().__init__(
            f"Source {source!r} could not be asked for its resources while definitions load: its function failed with "
            f"{type(cause).__name__}{ended} Configuration that is missing is replaced by empty values there. Name its "
            "resources, as in resources=['issues', 'comments'], and the source is called in the steps only; or let the "
            "function return resources before it uses such values."
        )


class OpenApiDocumentError(DeclarationError):
    """No configuration can be drafted from an OpenAPI document."""

    def __init__(self, *, location: str, problem: str, advice: str) -> None:
        self.location = location
        self.problem = problem
        super().__init__(f"OpenAPI document {location!r}: {problem}. {advice}".rstrip())


class InvalidPathError(DeclarationError):
    """A path into JSON values cannot be read."""

    def __init__(self, *, path: str) -> None:
        self.path = path
        super().__init__(
            f"Path {path!r} cannot be read. A path is made of keys and indices, such as 'data.items', '[*].user.id' or "
            "\"$.rows[0]['created.at']\"; keys with dots or brackets stand in quotes, and there are no filters or '..'."
        )


class ComponentError(DeclarationError):
    """A component cannot be made of what its YAML says.

    Attributes:
        place: The keys that lead there, such as `loads.0.source`.
    """

    def __init__(self, *, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {_sentence(problem)}")


class ConfigProblem(NamedTuple):
    """One thing that is wrong in a configuration.

    Attributes:
        place: The keys and positions that lead to it.
        told: What is wrong, and what was probably meant.
    """

    place: tuple[str | int, ...]
    told: str

    @property
    def path(self) -> str:
        """Where it is, as one would write it: `resources[2].endpoint.paginator.type`."""
        return place_text(self.place)


def place_text(place: Iterable[str | int]) -> str:
    """A place in a configuration as one would write it.

    >>> place_text(("resources", 2, "endpoint", "params", "page size"))
    "resources[2].endpoint.params['page size']"
    """
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.replace("-", "_").isidentifier():
            path += f".{part}" if path else part
        else:
            path += f"[{part!r}]"
    return path


def _sentence(told: str) -> str:
    return told if told.endswith((".", "?")) else f"{told}."


class RestApiConfigError(DeclarationError):
    """The configuration of a REST API cannot work; `problems` are all that were found. Nothing was asked of the API."""

    def __init__(self, *, owner: str, problems: Iterable[ConfigProblem]) -> None:
        self.owner = owner
        self.problems = tuple(problems)
        if [problem.path for problem in self.problems] == [""]:  # it is the whole that is wrong
            super().__init__(f"{owner}: its configuration {_sentence(self.problems[0].told)}")
            return
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = [f"  {problem.path or 'configuration'}: {_sentence(problem.told)}" for problem in self.problems]
        super().__init__("\n".join([f"{owner}: its configuration has {count}.", *lines]))


class InvalidArgumentsError(DeclarationError):
    """A source, resource or other configured function cannot be called with the arguments it was given.

    Attributes:
        missing: Required arguments that were neither passed nor configured; empty where the problem is another.
    """

    def __init__(self, *, owner: str, problem: str, missing: Sequence[str] = ()) -> None:
        self.owner = owner
        self.missing = tuple(missing)
        advice = " Pass it, or give the parameter the default dlt.secrets.value or dlt.config.value." if missing else ""
        super().__init__(f"{owner} cannot be called: {problem}{'' if problem.endswith('?') else '.'}{advice}")


# --- change the configuration ----------------------------------------------------------------------------------


class ConfigError(IngestError):
    """A value that code asks for is missing or unusable."""


class ConfigFieldMissingError(ConfigError):
    """No provider has a value that a source, resource or destination needs.

    Attributes:
        fields: Names of the missing values.
        tried: For each field the (provider, key) pairs in the order they were looked up.
    """

    def __init__(
        self,
        *,
        owner: str,
        fields: Sequence[str],
        tried: Mapping[str, Sequence[tuple[str, str]]],
        files_read: Sequence[str] = (),
        files_absent: Sequence[str] = (),
    ) -> None:
        self.owner = owner
        self.fields = tuple(fields)
        self.tried = {field: tuple(pairs) for field, pairs in tried.items()}
        lines = [f"{owner}: missing {len(self.fields)} value(s): {', '.join(map(repr, self.fields))}"]
        for field in self.fields:
            lines.append(f"for {field!r} the following (provider, key) were tried in order:")
            lines += [f"  ({provider}, {key})" for provider, key in self.tried.get(field, ())]
        if files_read:
            lines.append(f"Files read: {', '.join(files_read)}")
        if files_absent:
            lines.append(f"Files looked for and not found: {', '.join(files_absent)}")
        lines.append("Set one of the keys above, or pass the value as an argument.")
        super().__init__("\n".join(lines))


class InvalidCredentialsError(ConfigError):
    """The credentials of a destination cannot be read; the message shows nothing of them."""

    def __init__(self, *, destination: str, problem: str, advice: str) -> None:
        self.destination = destination
        super().__init__(f"The credentials of destination {destination!r} cannot be used: {problem}. {advice}")


class DatabaseCredentialsError(ConfigError):
    """The credentials of a source database cannot be read; the message shows nothing of them."""

    _ADVICE = (
        " Give a URL such as postgresql://user:password@host:5432/database, mysql+pymysql://..., sqlite:///file or "
        "duckdb:///file, as an argument or as sources.sql_database.credentials; its fields drivername, host, port, "
        "username, password and database; or an engine of SQLAlchemy."
    )

    def __init__(self, *, problem: str, is_nearly_right: bool = False) -> None:
        advice = "" if is_nearly_right else self._ADVICE
        super().__init__(f"The credentials of the source database cannot be used: {_sentence(problem)}{advice}")


class InvalidSettingError(ConfigError):
    """A setting of a destination has a value that it cannot have."""

    def __init__(self, *, destination: str, setting: str, value: object, advice: str) -> None:
        self.destination = destination
        self.setting = setting
        self.value = value
        super().__init__(f"Destination {destination!r}: {setting} cannot be {value!r}. {advice}")


class InvalidRateLimitError(ConfigError):
    """A limit of the requests to a host is none."""

    def __init__(self, *, setting: str, found: object, expected: str) -> None:
        self.setting = setting
        self.found = found
        self.expected = expected
        super().__init__(
            f"RateLimit: {setting} is {found!r}, but must be {expected}. Write RateLimit(per_second=10, burst=20, "
            "max_concurrent=4), or the same names in request_rate_limits of section [runtime]."
        )


class InvalidPrivateKeyError(ConfigError):
    """A private key that requests are signed with cannot be read; the message shows nothing of it."""

    def __init__(self, *, client_id: str, problem: str) -> None:
        self.client_id = client_id
        super().__init__(
            f"The private_key of client {client_id!r} cannot be used: {problem}. It must be a private RSA key in PEM, "
            "with its private_key_passphrase if it has one."
        )


class MissingExtraError(ConfigError):
    """A package is not installed that only some users need."""

    def __init__(self, *, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(
            f"To use {feature}, the extra {extra!r} must be installed: pip install 'dlt-orchestrate[{extra}]'."
        )


class ConfigValueCoercionError(ConfigError):
    """A configured value does not fit the annotation of the parameter it is meant for."""

    def __init__(self, *, field: str, provider: str, key: str, expected: str) -> None:
        self.field = field
        self.provider = provider
        self.key = key
        self.expected = expected
        super().__init__(
            f"The value for {field!r} found in {provider} under {key} is not a valid {expected}. "
            "Change the value (it is not shown here, since it may be a secret) or the annotation."
        )


class ValueNotSecretError(ConfigError):
    """A secret was found in a place that is not meant for secrets."""

    def __init__(self, *, field: str, provider: str, key: str) -> None:
        self.field = field
        self.provider = provider
        self.key = key
        super().__init__(
            f"The secret {field!r} was found in {provider} under {key}, a place that is not kept secret. "
            "Move it to secrets.toml or to an environment variable."
        )


class ConfigFileError(ConfigError):
    """A configuration file is not valid TOML."""

    def __init__(self, *, path: str, problem: str) -> None:
        self.path = path
        super().__init__(f"Configuration file {path} is not valid TOML: {problem}.")


class UnknownNamingConventionError(ConfigError):
    """A naming convention that the configuration or a stored schema names cannot be found.

    Attributes:
        said_by: Where it is named.
    """

    def __init__(self, *, name: str, said_by: str, problem: str, known: Iterable[str]) -> None:
        self.name = name
        self.said_by = said_by
        self.known = tuple(known)
        super().__init__(
            f"Naming convention {name!r}, named by {said_by}, cannot be used: {problem}. Nothing was extracted. "
            f"Known are: {', '.join(self.known)}. For one of your own, name its class, or a module that holds it as "
            "NamingConvention, and see that it can be imported."
        )


class NamingConventionConflictError(ConfigError):
    """The configuration asks for another naming convention than that of the tables which are there."""

    def __init__(self, *, source: str, dataset: str, stored: str, asked: str, said_by: str) -> None:
        self.source = source
        self.dataset = dataset
        self.stored = stored
        self.asked = asked
        self.said_by = said_by
        super().__init__(
            f"Source {source!r}: its tables in dataset {dataset!r} are named by the convention {stored!r}, and {said_by} "
            f"asks for {asked!r}. Stored tables and columns are not renamed. Nothing was loaded. "
            f"To move to {asked!r}, load into a new dataset (dataset_name=...). To go on here, take the setting away, or "
            f"set sources.{source}.schema.naming to {stored!r}."
        )


class SchemaFileError(ConfigError):
    """A file of a schema cannot be read or written."""

    def __init__(self, *, path: str, problem: str, advice: str) -> None:
        self.path = path
        super().__init__(f"Schema file {path} cannot be used: {problem}. {advice}")


# --- look at the source ----------------------------------------------------------------------------------------


class ExtractError(IngestError):
    """A source could not be read."""


class SourceFailedError(ExtractError):
    """The function of a source raised something of its own; `__cause__` is what it raised."""

    def __init__(self, *, source: str, cause: BaseException) -> None:
        self.source = source
        super().__init__(
            f"The function of source {source!r} raised {type(cause).__name__}: {cause}. Nothing was extracted."
        )


class ResourceCodeError(ExtractError):
    """A step of a resource, or a call that it deferred, raised something of its own; `__cause__` is what it raised.

    Attributes:
        place: The step, by its position and function, or the call.
    """

    def __init__(self, *, resource: str, place: str, cause: Exception, advice: str = "") -> None:
        self.resource = resource
        self.place = place
        super().__init__(
            f"Resource {resource!r}, {place}: {type(cause).__name__}: {cause}{'. ' + advice if advice else ''}"
        )


class RequestFailedError(ExtractError):
    """An HTTP request failed for good: no connection, or an error status on the last attempt."""

    def __init__(self, *, method: str, url: str, problem: str, attempts: int, advice: str = "") -> None:
        self.method = method
        self.url = url
        self.attempts = attempts
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{method} {url} failed after {tries}: {problem}.{' ' + advice if advice else ''}")


class ParentRowError(ExtractError):
    """What belongs to one row of a parent could not be read; `__cause__` says why.

    Attributes:
        row: The fields of the parent's row that the request was made of.
    """

    def __init__(self, *, resource: str, parent: str, row: Mapping[str, Any], cause: BaseException | str) -> None:
        self.resource = resource
        self.parent = parent
        self.row = dict(row)
        fields = ", ".join(f"{name}={value!r}" for name, value in self.row.items())
        of_row = f" with {fields}" if fields else ""
        super().__init__(f"Resource {resource!r}, for the row of {parent!r}{of_row}: {cause}")


class ResponseNotJsonError(ExtractError):
    """An answer that should be JSON is not."""

    def __init__(self, *, url: str, content_type: str, start: str, problem: str = "is not valid JSON") -> None:
        self.url = url
        self.content_type = content_type
        begins = f"; it starts with {start!r}" if start else ""
        super().__init__(
            f"The answer of {url} {problem} (content type {content_type or 'not given'}){begins}. "
            "Check the address and the credentials: a login or an error page often stands behind this."
        )


class DatabaseReadError(ExtractError):
    """A source database refused, or broke off, what was asked of it.

    Attributes:
        location: Where the database is, without credentials.
        what: What was read, such as a table.
        is_outage: Whether the connection or the server was the cause, so that waiting may help.
    """

    def __init__(self, *, location: str, what: str, problem: str, is_outage: bool = False, advice: str = "") -> None:
        self.location = location
        self.what = what
        self.is_outage = is_outage
        again = "Run again when the database can be reached; nothing of this load was committed." if is_outage else ""
        super().__init__(" ".join(filter(None, (f"Database {location}, {what}: {problem}.", advice, again))))


class PaginationError(ExtractError):
    """The pages of an API do not add up: going on would lose or repeat records."""

    def __init__(self, *, url: str, problem: str, advice: str) -> None:
        self.url = url
        super().__init__(f"Paging through {url}: {problem}. {advice}")


class ForeignOriginError(ExtractError):
    """A next link points to another origin than the one the credentials were given for."""

    def __init__(self, *, url: str, origin: str, allowed: Iterable[str]) -> None:
        self.url = url
        self.origin = origin
        self.allowed = tuple(allowed)
        super().__init__(
            f"A link to the next page names another origin, {origin}, than {', '.join(self.allowed)}. It was not followed, "
            f"since that would send the credentials there. Pass allowed_origins=[{origin!r}] if it is meant."
        )


class PrivateAddressError(ExtractError):
    """A redirect, or an address from data, leads to a host whose address is not public."""

    def __init__(self, *, host: str, address: str) -> None:
        self.host = host
        self.address = address
        where = host if host == address else f"{host}, whose address is {address}"
        super().__init__(
            f"A redirect or an address from data leads to {where}: not public, so a server may be after something in your "
            f"network. Nothing was sent. If it is meant, pass Session(allowed_hosts=[{host!r}]) or add {host!r} to "
            "request_allowed_hosts in section [runtime]."
        )


class PositionLostError(ExtractError):
    """An extraction that was cut short cannot go on from where its last checkpoint stands."""

    def __init__(self, *, where: str, problem: str) -> None:
        self.where = where
        self.problem = problem
        super().__init__(
            f"{where}: the run before was cut short, and this one cannot go on from its last checkpoint: {problem}. What "
            "was committed stays, and nothing was added, since rows that are there would be appended twice. Ask for the "
            "same pages as the run before, or take the rows away and begin anew: refresh='drop_data' or 'drop_resources'."
        )


class ResourceOutOfBoundsError(ExtractError):
    """A resource yields more, or takes longer, than it may."""

    def __init__(self, *, resource: str, limit: str, value: float) -> None:
        self.resource = resource
        self.limit = limit
        self.value = value
        found = {
            "max_rows": "yields more records",
            "max_pages": "yields more pages",
            "max_seconds": "takes longer",
            "max_page_rows": "yields a page of more records",
            "max_page_bytes": "yields a page of more bytes",
        }[limit]
        super().__init__(
            f"Resource {resource!r} {found} than {limit}={value} of section [extract] allows. Nothing of it was "
            f"committed, and its cursor did not move. Set extract.{limit} if so much is meant; else load it in smaller "
            "parts, by add_limit or in windows."
        )


class IgnoreResponseException(ExtractError):
    """Raised by a response hook: the answer holds no records and is no failure; paging ends here."""


class FilesNotListedError(ExtractError):
    """A folder or bucket is not there, or it cannot be read."""

    def __init__(self, *, url: str, pattern: str, problem: str) -> None:
        self.url = url
        self.pattern = pattern
        super().__init__(
            f"Files {pattern!r} at {url} cannot be listed: {problem}. Look at bucket_url, file_glob and the credentials."
        )


class FileReadError(ExtractError):
    """A file cannot be read: it is broken, packed or written otherwise than expected, or the store refuses it."""

    def __init__(self, *, file: str, problem: str, advice: str) -> None:
        self.file = file
        super().__init__(f"File {file} cannot be read: {problem}. {advice}")


class FileChangedError(ExtractError):
    """A file was written to while it was read, so that what was read may be of two versions. Nothing of it is loaded."""

    def __init__(self, *, file: str, before: str, after: str) -> None:
        self.file = file
        super().__init__(
            f"File {file} was written to while it was read: it had {before}, and has {after}. Nothing of it was loaded. "
            "Run again; if it is still being written when it is listed, leave young files out: min_age_seconds=60."
        )


class NestedTooDeeplyError(ExtractError):
    """A yield is a list in lists without end, or nearly so."""

    def __init__(self, *, most: int) -> None:
        self.most = most
        super().__init__(
            f"A yielded list holds lists more than {most} levels deep, or itself. A list stands for its records: yield "
            "flat lists of records, or put the nested list into a field of a record."
        )


class CursorFieldMissingError(ExtractError):
    """A record lacks the field that its incremental cursor reads, or holds null there.

    Attributes:
        parent: What the resource takes records of, if it is a transformer.
    """

    def __init__(self, *, resource: str, cursor_path: str, found: str, parent: str | None = None) -> None:
        self.resource = resource
        self.cursor_path = cursor_path
        self.parent = parent
        of_parent = (
            f" If it is a field of what {parent!r} yields, declare the cursor on that before the pipe, with "
            f"{parent}.apply_hints(incremental=...)."
            if parent is not None
            else ""
        )
        super().__init__(
            f"Resource {resource!r}: a record has no value at {cursor_path!r}, which its incremental cursor reads: "
            f"{found}{'' if found.endswith('?') else '.'} "
            "Name another field in incremental(...), or pass on_cursor_value_missing='include' (or 'exclude') to keep "
            f"(or drop) such records.{of_parent}"
        )


class CursorValueError(ExtractError):
    """A cursor value cannot be compared with the stored or initial one."""

    def __init__(self, *, resource: str, cursor_path: str, value_type: str, bound_type: str) -> None:
        self.resource = resource
        self.cursor_path = cursor_path
        super().__init__(
            f"Resource {resource!r}: the cursor {cursor_path!r} holds a {value_type}, which cannot be compared with the "
            f"{bound_type} it started from. Give incremental(...) an initial_value of the type that the records hold, or "
            "convert the field with add_map(...)."
        )


# --- look at the values ----------------------------------------------------------------------------------------


class SchemaError(IngestError):
    """Values, hints and the stored schema do not fit together."""


class ColumnTypeConflictError(SchemaError):
    """A column is stored with one type and hinted with another that it cannot be widened to."""

    def __init__(self, *, table: str, column: str, stored: str, wanted: str) -> None:
        self.table = table
        self.column = column
        self.stored = stored
        self.wanted = wanted
        super().__init__(
            f"Table {table!r}, column {column!r}: it is stored as {stored}, and the hint asks for {wanted}, which "
            "cannot hold every stored value. Drop the hint, choose a wider type, or load into a new column."
        )


class TableConflictError(SchemaError):
    """Two resources want the same table in ways that do not fit together."""

    def __init__(self, *, table: str, problem: str) -> None:
        self.table = table
        super().__init__(f"Table {table!r}: {problem}")


class HintedColumnMissingError(SchemaError):
    """A hint that decides which rows are kept or replaced names a column that no row has.

    Attributes:
        hint: What names it, such as `primary_key`.
    """

    def __init__(self, *, resource: str, table: str, column: str, hint: str, problem: str, advice: str) -> None:
        self.resource = resource
        self.table = table
        self.column = column
        self.hint = hint
        super().__init__(
            f"Resource {resource!r}, table {table!r}: {hint} names column {column!r}, {problem}. {advice} "
            "Nothing of this load was committed."
        )


class SchemaContractError(SchemaError):
    """A load would change a table in a way that its schema contract freezes.

    Attributes:
        contract: The frozen entity: `tables`, `columns` or `data_type`.
        column: The column that would be made or changed; None where the table itself is new.
        found: The type of the values that came for it; None where the table itself is new.
        row: The first row, of those of this table in this load, that would change it; counted from 1.
    """

    def __init__(
        self, *, resource: str, table: str, contract: str, column: str | None, found: str | None, row: int, problem: str
    ) -> None:
        self.resource = resource
        self.table = table
        self.contract = contract
        self.column = column
        self.found = found
        self.row = row
        declare = {
            "tables": "",
            "columns": "declare the column in columns=..., ",
            "data_type": "declare the type of the column in columns=..., ",
        }[contract]
        super().__init__(
            f"Resource {resource!r}, table {table!r}: {problem} (first in row {row} of this load), and the schema contract "
            f"says {contract}='freeze'. Nothing of this load was committed. To take it in, {declare}or run with "
            f"schema_contract={{{contract!r}: 'evolve'}}; to go on without it, choose 'discard_row' or 'discard_value'."
        )


class DataValidationError(SchemaError):
    """A record is not what its resource's model says, and the schema contract is frozen.

    Attributes:
        contract: The frozen entity: `columns` for fields that the model does not know, else `data_type`.
        column: The keys that lead to the value, joined by dots; None where the record as a whole is at fault.
        row: The record, of those of this resource in this run, counted from 1.
        record: The record as text, shortened, without values that are named like secrets.
        rule: What the model demands.
        found: The value as text, shortened; None where there is none.
    """

    def __init__(
        self,
        *,
        resource: str,
        table: str,
        model: str,
        contract: str,
        column: str | None,
        row: int,
        record: str,
        rule: str,
        found: str | None,
    ) -> None:
        self.resource = resource
        self.table = table
        self.model = model
        self.contract = contract
        self.column = column
        self.row = row
        self.record = record
        self.rule = rule
        self.found = found
        place = f"column {column!r}" if column else "the record"
        holds = f" holds {found}, and" if found is not None else ":"
        mend, instead = {
            "columns": ("add the field to the model", "'evolve' takes it in, 'discard_value' leaves it out"),
            "data_type": (
                "mend the value in a step (add_map) or widen the field of the model",
                "'evolve' loads it as it is",
            ),
        }[contract]
        super().__init__(
            f"Resource {resource!r}, table {table!r}, row {row}: {place}{holds} model {model} says: {rule}. The schema "
            f"contract says {contract}='freeze', so nothing of the resource was loaded. The row: {record}. To load it, "
            f"{mend}; or choose schema_contract={{{contract!r}: ...}}: {instead}, 'discard_row' puts such rows into "
            "_dlt_rejects."
        )


class WindowConflictError(SchemaError):
    """Which stored rows a window stands for cannot be told, so a load of it could repeat or lose rows."""

    def __init__(self, *, resource: str, table: str, cursor_path: str | None, window: str, problem: str) -> None:
        self.resource = resource
        self.table = table
        self.cursor_path = cursor_path
        self.window = window
        by = f" by its cursor {cursor_path!r}" if cursor_path is not None else ""
        super().__init__(
            f"Resource {resource!r}: the window {window} cannot be loaded into table {table!r}{by}: {problem} "
            "Nothing of this load was committed."
        )


class TooManyRejectsError(SchemaError):
    """More rows were rejected than the settings allow."""

    def __init__(self, *, resource: str, rejected: int, rows: int, limit: str, causes: Sequence[str]) -> None:
        self.resource = resource
        self.rejected = rejected
        self.rows = rows
        self.causes = tuple(causes)
        super().__init__(
            f"Resource {resource!r}: {rejected} of {rows} rows were rejected, more than {limit}. "
            f"The first: {'; '.join(causes)}. Nothing of this load was committed. Mend the source or the hints, or raise "
            "the limit: load.max_rejected_rows (0 for none), load.max_rejected_share (1.0 for any)."
        )


class SchemaDocumentError(SchemaError):
    """What should be the stored form of a schema is none."""

    def __init__(self, *, problem: str) -> None:
        self.problem = problem
        super().__init__(f"This is no stored schema: {problem}. It should be what Schema.to_dict or to_pretty_yaml writes.")


# --- look at the destination -----------------------------------------------------------------------------------


class LoadError(IngestError):
    """A package could not be committed; the destination is as it was."""


class CommitConflictError(LoadError):
    """Another load committed the same resource and window since this one was planned."""

    def __init__(
        self,
        *,
        resource: str,
        window: str | None,
        planned_on: int,
        found: int,
        winner_load_id: str | None,
        winner_host: str | None,
        committed_at: datetime | None,
    ) -> None:
        self.resource = resource
        self.window = window
        self.planned_on = planned_on
        self.found = found
        self.winner_load_id = winner_load_id
        self.winner_host = winner_host
        self.committed_at = committed_at
        where = f" in window {window}" if window else ""
        winner = (
            f"load {winner_load_id} from host {winner_host} committed {found} at {committed_at:%Y-%m-%d %H:%M:%S %Z}"
            if committed_at is not None
            else f"the destination is at commit {found}"
        )
        super().__init__(
            f"This load was planned on commit {planned_on} of resource {resource!r}{where}, but {winner}. "
            "Nothing was changed. Run again: it will go on from there."
        )


class StateConflictError(LoadError):
    """Two loads changed the same key of a source's state."""

    def __init__(self, *, source: str, key: str) -> None:
        self.source = source
        self.key = key
        super().__init__(
            f"Source {source!r}: key {key!r} of its state was changed by this load and by another one since it was read. "
            "Nothing was changed. Run again, or keep the value in resource_state(), which each resource has for itself."
        )


class CommitLostError(LoadError):
    """The connection broke during a commit, and the destination says that the commit was not made."""

    def __init__(self, *, load_id: str, location: str, problem: str) -> None:
        self.load_id = load_id
        self.location = location
        super().__init__(
            f"{location}: the connection broke while load {load_id} was committed ({problem}), and the destination has no "
            "such load. Nothing was changed. Run again."
        )


class CommitOutcomeUnknownError(LoadError):
    """The connection broke during a commit, and the destination could not be asked whether the commit was made."""

    def __init__(self, *, load_id: str, location: str, problem: str, waited_seconds: float) -> None:
        self.load_id = load_id
        self.location = location
        self.waited_seconds = waited_seconds
        super().__init__(
            f"{location}: the connection broke while load {load_id} was committed, and for {waited_seconds:.0f} s the "
            f"destination could not be asked whether it was ({problem}). All of it is there, or nothing: look for its load "
            "id in _dlt_loads. To run again is safe where the load moved a cursor or merged rows, or with the same "
            "idempotency_key; else rows may come twice."
        )


class DestinationLockedError(LoadError):
    """Another process holds the destination for longer than the set time."""

    def __init__(
        self,
        *,
        location: str,
        holder: str,
        waited_seconds: float,
        advice: str = "Close that process, or let loads wait longer with lock_timeout_seconds.",
    ) -> None:
        self.location = location
        self.holder = holder
        self.waited_seconds = waited_seconds
        super().__init__(
            f"{location} is held by another process ({holder}); waited {waited_seconds:.0f} s. Nothing was changed. "
            f"{advice}"
        )


class DestinationUnavailableError(LoadError):
    """The destination cannot be opened or written."""

    def __init__(self, *, location: str, problem: str, advice: str) -> None:
        self.location = location
        self.problem = problem
        super().__init__(f"{location} cannot be used: {problem}. {advice}")


class DestinationRefusedError(LoadError):
    """The destination refused what a load asked of it, such as a value that a constraint of the table forbids."""

    def __init__(self, *, location: str, problem: str, sqlstate: str) -> None:
        self.location = location
        self.sqlstate = sqlstate
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(
            f"{location} refused what was asked of it: {problem}{code}. Nothing was changed. "
            "Look for what was added to the table by hand (constraints, triggers, views), or mend the query."
        )


class DatasetNotFoundError(LoadError):
    """Which dataset of a destination is meant by a pipeline cannot be told.

    Attributes:
        datasets: The datasets that come into question.
    """

    def __init__(self, *, pipeline_name: str, location: str, datasets: Iterable[str], problem: str, advice: str) -> None:
        self.pipeline_name = pipeline_name
        self.location = location
        self.datasets = tuple(datasets)
        super().__init__(f"Pipeline {pipeline_name!r} in {location}: {problem}. {advice}")


class TableNotLoadedError(LoadError):
    """A table that shall be read is not there: nothing has been loaded into it yet."""

    def __init__(
        self, *, table: str, dataset: str, location: str, wanted_by: str, asset: str, known: Iterable[str]
    ) -> None:
        self.table = table
        self.dataset = dataset
        self.location = location
        self.asset = asset
        self.known = tuple(known)
        has = ", ".join(map(repr, self.known)) or "no tables yet"
        super().__init__(
            f"{wanted_by} reads table {table!r}, which is not in dataset {dataset!r} of {location}. It has: {has}. "
            f"Materialize asset {asset!r} first, or name another table."
        )


class SystemTablesNewerError(LoadError):
    """A newer version of this package wrote the system tables of the dataset."""

    def __init__(self, *, dataset: str, found: int, known: int) -> None:
        self.dataset = dataset
        self.found = found
        self.known = known
        super().__init__(
            f"Dataset {dataset!r} has system tables of version {found}; this release of dlt_orchestrate knows up to "
            f"{known}. Upgrade dlt_orchestrate to load into it. Nothing was changed."
        )


_SHOWN_RESOURCES = 10


class PipelineStepFailed(IngestError):
    """A step of a pipeline failed; `__cause__` is the original exception.

    Attributes:
        pipeline_name: The pipeline.
        step: `sync` (reading the destination's state), `extract`, `normalize` or `load`.
        resources: The resources that failed, by name; empty where the failure is not of one resource.
        load_id: The load that was under way, or None.
        checkpoints: How often each failed resource was committed before, at checkpoints; those that were not are left out.
        load_info: What was committed all the same (the succeeded siblings), or None.
    """

    def __init__(
        self,
        *,
        pipeline_name: str,
        step: str,
        cause: BaseException,
        resources: Sequence[str] = (),
        checkpoints: Mapping[str, int] | None = None,
        load_id: str | None = None,
        load_info: object | None = None,
    ) -> None:
        self.pipeline_name = pipeline_name
        self.step = step
        self.resources = tuple(resources)
        self.checkpoints = dict(checkpoints or {})
        self.load_id = load_id
        self.load_info = load_info
        self.exception = cause
        of = f", resource {', '.join(map(repr, self.resources))}" if self.resources else ""
        name = type(cause).__name__
        parts = [f"{found!r} up to checkpoint {number}" for found, number in self.checkpoints.items()]
        committed = [*parts, *map(repr, getattr(load_info, "resources", ()))]
        shown = ", ".join(committed[:_SHOWN_RESOURCES]) + (", ..." if len(committed) > _SHOWN_RESOURCES else "")
        kept = f"\nCommitted all the same: {shown}." if committed else ""
        super().__init__(f"Pipeline {pipeline_name!r}, step {step!r}{of} failed. {name}: {cause}{kept}")
