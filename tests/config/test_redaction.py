"""No secret survives in a text that leaves the process."""

from __future__ import annotations

import base64
import copy
import io
import json
import logging
import pickle
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dlt_orchestrate.config.redaction import RedactingFilter, Redactor, Secret, learn, looks_secret, redact, redact_url

secret_texts = st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4)


class Login(BaseModel):
    token: Secret


def test_a_secret_prints_masked_everywhere_and_reveals_itself_only_on_request() -> None:
    secret = Secret("ghp_container")

    shown = f"{secret} {secret!r} {[secret]} %s {Login(token=secret)} {Login(token=secret).model_dump_json()}" % secret

    assert "ghp_container" not in shown
    assert shown.count("Secret(***)") == 6
    assert secret.reveal() == "ghp_container"
    assert redact("ghp_container") == "***"


def test_a_secret_compares_and_copies_but_is_never_written_out() -> None:
    secret = Secret("ghp_copied")

    assert copy.deepcopy({"token": secret}) == {"token": Secret("ghp_copied")}
    assert secret != Secret("ghp_other")
    assert secret != "ghp_copied"
    assert len({secret, Secret("ghp_copied")}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


@given(st.lists(secret_texts, min_size=1, max_size=4), st.lists(st.text(), max_size=5), st.data())
def test_no_learnt_secret_survives_in_any_text(secrets: list[str], around: list[str], data: st.DataObject) -> None:
    redactor = Redactor()
    for secret in secrets:
        redactor.learn(secret)
    text = "".join(data.draw(st.permutations(secrets + around)))

    redacted = redactor.redact(text)

    assert not [secret for secret in secrets if secret in redacted]


@given(secret_texts, st.text(), st.text())
def test_no_common_spelling_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)

    for spell in (quote, quote_plus, repr, json.dumps, lambda text: quote(text, safe="")):
        assert spell(secret) not in redactor.redact(before + spell(secret) + after)


@given(st.binary(max_size=9), st.text(min_size=8).filter(lambda text: len(text.strip()) >= 8), st.binary(max_size=9))
def test_a_secret_within_base64_text_is_masked(before: bytes, secret: str, after: bytes) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    encoded = base64.b64encode(before + secret.encode() + after).decode()

    assert "***" in redactor.redact(f"Authorization: Basic {encoded}")


def test_texts_without_secrets_stay_and_very_short_secrets_are_not_learnt() -> None:
    redactor = Redactor()
    redactor.learn("abc")
    redactor.learn(" \n \t ")
    redactor.learn(None)
    redactor.learn(True)

    assert redactor.redact("abc True None  \n \t ") == "abc True None  \n \t "


@pytest.mark.parametrize(
    ("secret", "masked", "shown"),
    [
        ({"host": "db.example", "password": "pw-in-dict", "x": ["pw-in-list"]}, ["pw-in-dict", "pw-in-list"], "db.example"),
        ("postgresql://loader:p%40ssword@db.example/main", ["p%40ssword", "p@ssword"], "db.example"),
        ("host=db.example user=loader password=pw-in-dsn", ["pw-in-dsn"], "db.example"),
        ("Endpoint=sb://ns.example;SharedAccessKey=pw-azure=", ["pw-azure="], "ns.example"),
        ('{"type": "service_account", "private_key": "line one\\nline two"}', ["line one\nline two"], "service_account"),
        (b"pw-in-bytes", ["pw-in-bytes"], ""),
        (123456, ["123456"], ""),
        (Secret("pw-in-secret"), ["pw-in-secret"], ""),
    ],
)  # fmt: skip
def test_the_secret_parts_of_a_secret_are_learnt(secret: object, masked: list[str], shown: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)

    assert redactor.redact(" ".join([*masked, shown])) == " ".join(["***"] * len(masked) + [shown])


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://api.example/items?page=2", "https://api.example/items?page=2"),
        ("https://user:pw@api.example/items", "https://api.example/items"),
        ("postgresql://user:p@w@db:5432/main", "postgresql://db:5432/main"),
        ("https://a.example/?access_token=x&page=2&api_key=y", "https://a.example/?access_token=***&page=2&api_key=***"),
        ("https://a.example/?X-Amz-Signature=x&X-Amz-Date=1", "https://a.example/?X-Amz-Signature=***&X-Amz-Date=1"),
        ("https://a.example/?sv=1&sig=x%2Fy", "https://a.example/?sv=1&sig=***"),
        ("https://a.example/#accessToken=x", "https://a.example/#accessToken=***"),
        ("https://a.example/?api%5Fkey=x&token=", "https://a.example/?api%5Fkey=***&token="),
        ("https://[bad?token=x", "https://[bad?token=***"),
        ("", ""),
    ],
)
def test_an_address_keeps_what_is_not_secret(url: str, redacted: str) -> None:
    assert redact_url(url) == redacted


def test_an_address_loses_known_secrets_in_its_path() -> None:
    learn("hook-in-the-path")

    assert redact_url("https://hooks.example/hook-in-the-path/send") == "https://hooks.example/***/send"


@given(st.text())
def test_any_text_may_be_asked_about(text: str) -> None:
    redact_url(text)
    looks_secret(text)


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """What the application's own handler, on the root logger, prints."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(extra)s", defaults={"extra": ""}))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


@pytest.mark.parametrize("name", ["dlt_orchestrate", "dlt_orchestrate.http.session"])
def test_records_of_the_package_reach_the_application_masked(printed: io.StringIO, name: str) -> None:
    learn("ghp_in_logs")
    logger = logging.getLogger(name)

    logger.warning("plain ghp_in_logs")
    logger.warning("argument %s of %d", {"token": "ghp_in_logs"}, 2, extra={"extra": "ghp_in_logs"})
    logger.warning("wrong %d", "ghp_in_logs")
    try:
        raise ValueError("ghp_in_logs")
    except ValueError:
        logger.exception("failed", stack_info=True)

    text = printed.getvalue()
    assert "ghp_in_logs" not in text
    assert f"{name} plain ***" in text
    assert "argument {'token': '***'} of 2 ***" in text
    assert "ValueError: ***" in text


@given(secret_texts, st.text(), st.text())
def test_no_learnt_secret_survives_in_a_record(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    record = logging.LogRecord(
        "n", logging.INFO, "p", 1, before.replace("%", "") + "%s" + after.replace("%", ""), (secret,), None
    )

    assert RedactingFilter(redactor).filter(record)

    assert secret not in record.getMessage()
    assert not record.args


def test_without_any_handler_warnings_still_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learn("ghp_on_terminal")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    logging.getLogger("dlt_orchestrate.load").warning("seen once: ghp_on_terminal")

    assert capsys.readouterr().err == "seen once: ***\n"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("401 for url: https://a.example/x?api_key=literal&page=2", "401 for url: https://a.example/x?api_key=***&page=2"),
        (
            "Max retries with url: /x?page=2&token=literal (Caused by)",
            "Max retries with url: /x?page=2&token=*** (Caused by)",
        ),
        ("'http://me:literal@a.example/x' and mail@a.example", "'http://a.example/x' and mail@a.example"),
        ('{"url":"https://a.example/?sig=literal","status":401}', '{"url":"https://a.example/?sig=***","status":401}'),
        ("<a href='/x?a=1&amp;password=literal'>", "<a href='/x?a=1&amp;password=***'>"),
        ("token=5 is no address; see https://a.example/?page=2", "token=5 is no address; see https://a.example/?page=2"),
    ],
)
def test_addresses_within_a_text_lose_what_is_secret(text: str, masked: str) -> None:
    assert redact(text) == masked


@given(st.text(alphabet="ab?&=#;/:@'\" *", max_size=40), st.lists(st.text(alphabet="ab?&=*", min_size=4, max_size=6)))
def test_a_masked_text_stays_as_it_is(text: str, secrets: list[str]) -> None:
    redactor = Redactor()
    redactor.learn(secrets)
    redacted = redactor.redact(f"?key={text}&token={text}")

    assert redactor.redact(redacted) == redacted
