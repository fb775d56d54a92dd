"""Secrets stay secret: a container that prints masked, and a redactor for every text that leaves the process."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
SHORTEST_SECRET = 4  # shorter texts occur everywhere; longer than MASK, so that masking ends
PACKAGE_LOGGER = "dlt_orchestrate"
GUARDED_LOGGERS = (PACKAGE_LOGGER, "urllib3")  # the second prints the addresses that are asked

_Error = TypeVar("_Error", bound=BaseException)

# The last word of a name that says: this is a secret.
_SECRET_NOUNS = frozenset("apikey jwt passphrase passwd password pwd secret token".split())
_SECRET_KEYS = frozenset("access account api encryption private secret signing".split())
# In an address more is taken for a secret: masking too much costs nothing there.
_SECRET_PARAMETERS = _SECRET_NOUNS | frozenset(
    "accesskey auth authorization credential credentials key keys pw secrets session sig signature tokens".split()
)
# Parts of credentials that an error message is useless without.
_PLAIN_PARTS = frozenset(
    "database dbname driver drivername endpoint_url host hostname port region region_name schema type".split()
)
# Of the address of a database, also who logs in: the pipeline is often called the same. Elsewhere it may be a key.
_PLAIN_PARTS_OF_ADDRESS = _PLAIN_PARTS | {"user", "username"}
# The address of a database with neither user nor parameters.
_PLAIN_ADDRESS = re.compile(r"(?:duckdb|mariadb|mssql|mysql|oracle|postgres|postgresql|sqlite)(?:\+\w+)?://[^@?\s]*")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_USERINFO = re.compile(r"(?<=//)[^/?#\s]*@")
_NAMED_VALUE = re.compile(r"([^?&;#=\s]+)=([^&;#\s]*)")
# The same within any text, where an address may stand in quotes, or without scheme and host as in the errors of requests.
_USERINFO_IN_TEXT = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")
_PARAMETER_IN_TEXT = re.compile(r"(?<=[?&#;])([^?&;#=\s\"'<>]+)=([^&;#\s\"'<>]*)")


class Secret:
    """A text that shows itself only on request.

    >>> token = Secret("ghp_1234")
    >>> f"{token} {token!r} {token:>20}"
    'Secret(***) Secret(***)          Secret(***)'
    >>> token.reveal()
    'ghp_1234'
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text
        learn(text)

    def reveal(self) -> str:
        """The text itself."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self.__text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret is never written out; pass the key it is configured under instead.")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            _as_secret, serialization=core_schema.plain_serializer_function_ser_schema(repr, when_used="json")
        )


class Redactor:
    """Knows secrets and masks them in texts, in every common spelling."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learnt: set[str] = set()
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secret: object) -> None:
        """Mask this from now on: a text, or all the texts in a dictionary or list. Very short ones cannot be."""
        for text in _texts_in(secret):
            if text not in self._learnt and len(text.strip()) >= SHORTEST_SECRET:
                with self._lock:
                    self._learnt.add(text)
                    self._spellings.update(_spellings(text))
                    self._pattern = None

    def redact(self, text: str) -> str:
        """Mask every known secret, and within addresses what is secret by its place or name.

        >>> redactor = Redactor()
        >>> redactor.learn("p@ssword")
        >>> redactor.redact("tried p@ssword at https://host/?q=p%40ssword")
        'tried *** at https://host/?q=***'
        """
        # A mask and its neighbours may spell a secret again. It ends, since masks are shorter than what they replace, or
        # are the whole value of a parameter, which then stays.
        masked = self._masked(text)
        while masked != text:
            text, masked = masked, self._masked(masked)
        return text

    def knows_part_of(self, text: str) -> bool:
        """Whether a text shows a secret that was learnt."""
        return bool(self._learnt) and (self._pattern or self._compiled()).search(text) is not None

    def _masked(self, text: str) -> str:
        if "://" in text:
            text = _USERINFO_IN_TEXT.sub("", text)
        if "=" in text:
            text = _PARAMETER_IN_TEXT.sub(_masked_parameter, text)
        if not self._learnt:
            return text
        return (self._pattern or self._compiled()).sub(MASK, text)

    def _compiled(self) -> re.Pattern[str]:
        with self._lock:
            longest_first = sorted(self._spellings, key=lambda spelling: (-len(spelling), spelling))
            self._pattern = pattern = re.compile("|".join(map(re.escape, longest_first)))
        return pattern


class RedactingFilter(logging.Filter):
    """Masks secrets in log records: message, arguments, exception, stack and extra fields."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or _redactor

    def filter(self, record: logging.LogRecord) -> bool:
        redact = self._redactor.redact
        message = _message_of(record)
        if (masked := redact(message)) != message:
            record.msg, record.args = masked, None
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            if (masked := redact(trace)) != trace:
                record.exc_text, record.exc_info = masked, None
        for name, value in record.__dict__.items():
            if isinstance(value, str):
                record.__dict__[name] = redact(value)
        return True


class _RedactingHandler(logging.Handler):
    """Masks the records of child loggers on their way to the handlers of the application.

    A filter on a logger sees only the records logged to that very logger; a handler sees those of its children too, before
    the handlers of its parents do.
    """

    def emit(self, record: logging.LogRecord) -> None:
        last_resort = logging.lastResort
        if last_resort and record.levelno >= last_resort.level and not _has_other_handlers(record.name):
            last_resort.handle(record)  # logging itself does so only for loggers without any handler


def learn(secret: object) -> None:
    """Mask a secret in everything that this process prints from now on."""
    _redactor.learn(secret)
    _guard_logs()


def learn_parts(address: str) -> None:
    """Mask the password within an address, and the values of its parameters that are named like secrets, from now on."""
    for part in _parts_of(address):
        learn(part)


def redact(text: str) -> str:
    """Mask every secret that this process knows, and those that the addresses in a text show.

    >>> redact("Max retries exceeded with url: /items?api_key=literal&page=2 (Caused by ...)")
    'Max retries exceeded with url: /items?api_key=***&page=2 (Caused by ...)'
    """
    return _redactor.redact(text)


def mask_chain(error: _Error) -> _Error:
    """Mask the secrets in an exception and in everything that it was raised from.

    Masked in place are arguments, attributes, notes, and the requests and responses that HTTP errors hold. Only the message
    of an exception group cannot be changed: one that shows a secret gets a successor, which is returned for the outermost.
    """
    return cast("_Error", _masked_error(error, {}))


def _masked_error(error: BaseException, done: dict[int, BaseException]) -> BaseException:
    if id(error) in done:
        return done[id(error)]
    done[id(error)] = error
    error.args = tuple(map(redact_values, error.args))
    for name, value in list(getattr(error, "__dict__", {}).items()):
        if name != "__notes__" and not isinstance(value, BaseException):
            _set(error, name, value, _without_secrets(value))
    for name in _FIELDS_OF_OS_ERRORS if isinstance(error, OSError) else ():
        if isinstance(value := getattr(error, name, None), str):
            _set(error, name, value, redact(value))
    if notes := getattr(error, "__notes__", None):
        error.__notes__ = list(map(redact_values, notes))
    if isinstance(error, BaseExceptionGroup):
        done[id(error)] = error = _masked_group(error, done)
    for name in ("__cause__", "__context__"):
        if (link := getattr(error, name)) is not None and (masked := _masked_error(link, done)) is not link:
            suppresses = error.__suppress_context__
            setattr(error, name, masked)
            error.__suppress_context__ = suppresses
    return error


def _masked_group(group: BaseExceptionGroup[Any], done: dict[int, BaseException]) -> BaseExceptionGroup[Any]:
    """The group, or a like one where its message or that of a group in it shows a secret."""
    members = [_masked_error(member, done) for member in group.exceptions]
    message = redact(group.message)
    if message == group.message and all(now is before for now, before in zip(members, group.exceptions, strict=True)):
        return group
    successor = BaseExceptionGroup(message, members).with_traceback(group.__traceback__)
    successor.__cause__, successor.__context__ = group.__cause__, group.__context__
    successor.__suppress_context__ = group.__suppress_context__
    successor.__notes__ = list(getattr(group, "__notes__", ()))
    return successor


_FIELDS_OF_OS_ERRORS = ("filename", "filename2", "strerror")


def _set(error: BaseException, name: str, before: object, masked: object) -> None:
    if masked is not before:
        with suppress(AttributeError, TypeError):  # one that cannot be set is not printed from there
            setattr(error, name, masked)


def redact_values(value: Any) -> Any:
    """Mask a text, or the texts in lists and dictionaries; gives the value itself if there is nothing to mask."""
    match value:
        case str():
            masked: Any = redact(value)
        case bytes():
            masked = redact(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        case dict():
            masked = {redact_values(name): redact_values(inner) for name, inner in value.items()}
        case list() | set() | frozenset():
            masked = type(value)(map(redact_values, value)) if type(value) in (list, set, frozenset) else value
        case tuple() if type(value) is tuple:
            masked = tuple(map(redact_values, value))
        case _:
            return value
    return value if masked == value else masked


def _without_secrets(value: Any) -> Any:
    """An attribute of an exception; of requests and responses their addresses, headers and bodies are masked in place."""
    is_of_requests = any(kind.__module__.startswith("requests.") for kind in type(value).__mro__)
    if not is_of_requests or not hasattr(value, "headers"):
        return redact_values(value)
    answers = (value, *getattr(value, "history", ()))
    for message in (*answers, *(getattr(answer, "request", None) for answer in answers)):
        for name, held in list(getattr(message, "__dict__", {}).items()):
            if name == "url" and isinstance(held, str):
                message.url = redact_url(held)
            elif name == "headers" and held is not None:
                for field in list(held):
                    held[field] = MASK if _is_secret_header(field) else redact_values(held[field])
            elif name in ("body", "_content", "reason") and isinstance(held, str | bytes):
                setattr(message, name, redact_values(held))
    return value


def _is_secret_header(name: str) -> bool:
    return name.lower() in ("authorization", "cookie", "set-cookie", "proxy-authorization") or not (
        _SECRET_PARAMETERS.isdisjoint(_words(name)[-1:])
    )


def redact_url(url: str) -> str:
    """Mask what is secret in an address: user and password, values of parameters that are named like secrets.

    >>> redact_url("https://me:pw@api.example/items?page=2&access_token=abc#top")
    'https://api.example/items?page=2&access_token=***#top'
    """
    return redact(_NAMED_VALUE.sub(_masked_parameter, _USERINFO.sub("", url, count=1)))


@lru_cache(maxsize=4096)  # every header and parameter of every request is looked at
def looks_secret(name: str) -> bool:
    """Whether a parameter or field is named like a secret.

    >>> [name for name in ("access_token", "apiKey", "db_password", "primary_key", "token_url") if looks_secret(name)]
    ['access_token', 'apiKey', 'db_password']
    """
    match _words(name):
        case [*_, before, "key"]:
            return before in _SECRET_KEYS
        case [*_, noun]:
            return noun in _SECRET_NOUNS
        case _:
            return False


_PAGE_WORDS = frozenset("after before continuation cursor last next offset page scroll skip start sync".split())


def holds_secret(text: str) -> bool:
    """Whether a text shows a secret that this process knows, or an address in it does by place or name.

    What is named for its page, such as `next_token`, is no secret.

    >>> holds_secret("https://api.example/items?page_token=abc"), holds_secret("https://api.example/items?token=abc")
    (False, True)
    """
    if _USERINFO_IN_TEXT.search(text) or _redactor.knows_part_of(text):
        return True
    names = (set(_words(unquote(found[1]))) for found in _PARAMETER_IN_TEXT.finditer(text) if found[2])
    return any(not words.isdisjoint(_SECRET_PARAMETERS) and words.isdisjoint(_PAGE_WORDS) for words in names)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _masked_parameter(found: re.Match[str]) -> str:
    is_secret = not _SECRET_PARAMETERS.isdisjoint(_words(unquote(found[1])))
    return f"{found[1]}={MASK}" if found[2] and is_secret else found[0]


def _as_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    raise ValueError("expected a text")


def _texts_in(value: object) -> Iterator[str]:
    """The texts of a secret value, and within a text its parts that are secrets of their own."""
    match value:
        case Secret():
            yield from _texts_in(value.reveal())
        case str() if _PLAIN_ADDRESS.fullmatch(value):
            return
        case str():
            yield value
            yield value.strip()
            yield from _parts_of(value)
        case bytes():
            yield from _texts_in(value.decode("utf-8", "ignore"))
        case bool() | None:
            return
        case int() | float():
            yield str(value)
        case Mapping():
            plain = _PLAIN_PARTS_OF_ADDRESS if "drivername" in value else _PLAIN_PARTS
            for name, inner in value.items():
                if name not in plain:
                    yield from _texts_in(inner)
        case list() | tuple() | set() | frozenset():
            for inner in value:
                yield from _texts_in(inner)


def _parts_of(text: str) -> Iterator[str]:
    """The password within a connection string, the texts within a JSON document: drivers print these by themselves."""
    if text.lstrip().startswith("{"):
        try:
            yield from _texts_in(json.loads(text))
        except ValueError:
            return
    if userinfo := _USERINFO.search(text):
        _, _, password = userinfo[0].removesuffix("@").partition(":")
        yield from {password, unquote(password)}
    for name, value in _NAMED_VALUE.findall(text):
        if not _SECRET_PARAMETERS.isdisjoint(_words(name)[-1:]):
            yield from {value, unquote(value)}


def _spellings(text: str) -> Iterable[str]:
    yield text
    yield quote(text, errors="surrogatepass")
    yield quote(text, safe="", errors="surrogatepass")
    yield quote_plus(text, errors="surrogatepass")
    yield repr(text)[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield from _base64_spellings(text.encode("utf-8", "surrogatepass"))


def _base64_spellings(content: bytes) -> Iterator[str]:
    """What base64 makes of a secret that stands anywhere in a longer text, such as `user:password`.

    Three bytes become four characters, so there are three alignments; characters that neighbours take part in are left out.
    """
    for before in range(3):
        first, end = -(-8 * before // 6), 8 * (before + len(content)) // 6
        for encoded in (base64.b64encode, base64.urlsafe_b64encode):
            core = encoded(bytes(before) + content)[first:end].decode()
            if len(core) >= 2 * SHORTEST_SECRET:
                yield core


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit; logging would print them unmasked
        return f"{record.msg} {record.args!r}"


def _has_other_handlers(name: str) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger:
        if any(handler is not _handler for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _guard_logs() -> None:
    """Put the filter and the handler on the guarded loggers, before any other handler, unless they are there."""
    for name in GUARDED_LOGGERS:
        logger = logging.getLogger(name)
        if _handler not in logger.handlers:
            logger.handlers.insert(0, _handler)
        if _filter not in logger.filters:
            logger.addFilter(_filter)


_redactor = Redactor()
_filter = RedactingFilter(_redactor)
_handler = _RedactingHandler()
_handler.addFilter(_filter)
