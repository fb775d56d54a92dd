"""Runs that handle secrets, well and badly, with everything printed that can be printed. Secrets come from outside only."""

import copy
import json
import logging
import os
import pickle
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr

import dlt_orchestrate as dlt
from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.sources.helpers.rest_client import RESTClient
from dlt_orchestrate.sources.helpers.rest_client.auth import APIKeyAuth, BearerTokenAuth, HttpBasicAuth

logging.basicConfig(level=logging.DEBUG, force=True)
GIVEN = json.loads(os.environ["MARKED_SECRETS"])
for name in ("BEARER", "KEY_IN_QUERY", "KEY_IN_HEADER", "PASSWORD", "USERINFO"):
    os.environ[f"SOURCES__BATTERY__{name}"] = GIVEN[name.lower()]


class Echo(BaseHTTPRequestHandler):
    """Answers with everything that it was sent: what APIs do in their error pages."""

    def do_GET(self):
        told = json.dumps({"path": self.path, "headers": dict(self.headers), "id": 1})
        status = int(self.path.split("/")[1][:3])
        if status == 301:
            self.send_response(302)
            self.send_header("Location", "/404" + self.path[4:])
            self.end_headers()
            return
        body = (f"<html>{told}</html>" if "html" in self.path else f"[{told}]").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if "html" in self.path else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *ignored):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
HOST = f"127.0.0.1:{server.server_port}"
errors = []


def shown(error: BaseException) -> None:
    """Print a failure in every way that there is, and write it as other processes would get it."""
    traceback.print_exception(error)
    logging.getLogger("app").error("failed", exc_info=error)
    logging.getLogger("dlt_orchestrate.pipeline").exception("failed: %r", error, exc_info=error)
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        print(repr(error), str(error), error.args, getattr(error, "__notes__", None))
        print({name: str(value) for name, value in vars(error).items() if name not in ("request", "response")})
        try:
            errors.append(pickle.dumps(error))
        except Exception as refused:
            print("not pickled:", repr(refused))
        error = error.__cause__ or error.__context__


def tried(what: str, function, *arguments, **named):
    """Run something and print all that comes of it."""
    print("---", what)
    try:
        result = function(*arguments, **named)
    except Exception as error:
        shown(error)
        return None
    print(repr(result), result)
    return result


pipeline = dlt.pipeline("battery", destination="duckdb", dataset_name="data", export_schema_path="schemas")


def run(what: str, *data, **named) -> None:
    tried(what, pipeline.run, *data, **named)
    print(pipeline.last_trace, repr(pipeline.last_trace), pipeline.last_trace and pipeline.last_trace.steps)
    print(repr(pipeline), dict(pipeline.state), {name: str(found) for name, found in pipeline.schemas.items()})


# --- configured secrets, and every place in a request ---------------------------------------------------------------


@dlt.source(name="battery", section="battery")
def api(path: str = "/200", bearer: str = dlt.secrets.value, key_in_query: str = dlt.secrets.value,
        key_in_header: Secret = dlt.secrets.value, password: str = dlt.secrets.value, userinfo: str = dlt.secrets.value,
        from_file: str = dlt.secrets.value):  # fmt: skip
    """Everything that a request can carry."""
    assert from_file
    auths = {
        "bearer": BearerTokenAuth(bearer),
        "query": APIKeyAuth("api_key", key_in_query, location="query"),
        "oddly": APIKeyAuth("code", key_in_query, location="query"),
        "header": APIKeyAuth("X-Key", key_in_header, location="header"),
        "basic": HttpBasicAuth("ada", password),
    }
    for name, auth in auths.items():

        @dlt.resource(name=f"by_{name}")
        def rows(auth=auth):
            client = RESTClient(f"http://{HOST}", auth=auth)
            print(repr(auth), repr(client))
            for page in client.paginate(path):
                yield [{"id": len(page)}]

        yield rows

    @dlt.resource
    def by_userinfo():
        client = RESTClient(f"http://ada:{userinfo}@{HOST}")
        print(repr(client))
        for page in client.paginate(path):
            yield [{"id": len(page)}]

    @dlt.resource
    def by_hand():
        answer = dlt.sources.helpers.requests.get(
            f"http://{HOST}{path}", params={"token": bearer}, headers={"Authorization": f"Bearer {bearer}"}
        )
        yield [{"id": len(answer.json())}]

    yield by_userinfo
    yield by_hand


for path in ("/200", "/401", "/404", "/200/html", "/301"):
    run(f"{path}", api(path))
bound = api("/200", bearer=GIVEN["bearer"], password=GIVEN["password"])
print(bound, repr(bound), bound.resources, copy.copy(bound))
print(dlt.secrets, repr(dlt.secrets), dlt.secrets.get("sources.battery.bearer") is not None)
tried("a host that there is not", lambda: list(RESTClient(f"http://u:{GIVEN['userinfo']}@127.0.0.1:1").paginate("/x")))


# --- what the code of users raises -----------------------------------------------------------------------------------


class Rich(Exception):
    """Keeps what it was given in every way."""

    def __init__(self, **facts):
        self.facts = facts
        super().__init__("rich", facts, [facts])


@dlt.resource(name="raising")
def raising(how: str, token: str = dlt.secrets.value):
    Secret(GIVEN["in_code"])
    secret = GIVEN["in_code"]
    if how == "plain":
        raise RuntimeError(f"cannot log in with {secret}")
    if how == "nested":
        try:
            try:
                raise KeyError(secret)
            except KeyError as first:
                raise OSError(5, f"token={secret}", secret) from first
        except OSError as second:
            second.add_note(f"tried {secret}")
            raise ValueError({"token": secret}) from second
    if how == "rich":
        raise Rich(token=secret, inner={"list": [secret]})
    if how == "group":
        raise ExceptionGroup(f"many {secret}", [RuntimeError(secret), ValueError(secret)])
    if how == "row":
        yield [{"id": 1}, {"id": None, "why": secret, "when": object}, {secret: secret}, {"id": {secret}}]
    if how == "warned":
        logging.getLogger("dlt_orchestrate.user").warning("token %s", secret, extra={"token": secret})
        logging.getLogger("dlt_orchestrate").debug({"token": secret})
        yield [{"id": 2}]


os.environ["SOURCES__BATTERY__TOKEN"] = GIVEN["in_code"]
for how in ("plain", "nested", "rich", "group", "row", "warned"):
    run(how, raising(how, token=GIVEN["in_code"]), primary_key="id", write_disposition="merge")


@dlt.source(name="broken")
def broken(token: str = dlt.secrets.value):
    raise RuntimeError(f"no {token}") from ConnectionError(token)


run("a source that raises", broken(token=GIVEN["in_code"]))


def stepping(row):
    raise ValueError(row, GIVEN["in_code"])


run("a step that raises", dlt.resource([{"id": 1}], name="stepping").add_map(stepping))


# --- models ----------------------------------------------------------------------------------------------------------


class Account(BaseModel):
    id: int
    password: SecretStr = Field(exclude=True)
    age: int = 0


for age in (1, "old"):
    rows = [{"id": 1, "password": GIVEN["in_model"], "age": age}]
    run(f"a model, age {age}", dlt.resource(rows, name="accounts", columns=Account))
    run(f"instances, age {age}", dlt.resource([Account.model_construct(**rows[0])], name="made", columns=Account))


# --- configuration that does not fit ---------------------------------------------------------------------------------


@dlt.resource(name="counted", section="battery")
def counted(pin: Annotated[int, dlt.secrets.value]):
    yield [{"pin": 0}]


os.environ["SOURCES__BATTERY__PIN"] = GIVEN["not_a_number"]
run("a secret of another type", counted())
tried("no such field", lambda: dlt.secrets["sources.battery.nothing"])
os.environ["DESTINATION__DUCKDB__CREDENTIALS"] = f"postgresql://ada:{GIVEN['of_destination']}@db.example/x"
lost = dlt.pipeline("lost", destination="duckdb")
print(lost, tried("a destination with a password", lost.run, [{"id": 1}], table_name="t"), lost.last_trace)
given = dlt.pipeline("given", destination="duckdb", credentials=f"duckdb:///no/where?token={GIVEN['of_destination']}")
print(given, tried("given credentials", given.run, [{"id": 1}], table_name="t"), given.last_trace, repr(given.destination))
for address in (f"postgresql://ada:{quote(GIVEN['of_destination'], safe='')}@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x"):
    os.environ["PGPASSWORD"] = GIVEN["of_destination"]
    server = dlt.pipeline("server", destination="postgres", credentials=address)
    print(server, tried(address[:12], server.run, [{"id": 1}], table_name="t"), server.last_trace, repr(server.destination))

Path("pickles").mkdir()
for number, text in enumerate(errors):
    Path("pickles", f"{number}.pickle").write_bytes(text)
print("the end")
if os.environ.get("DIES"):
    del os.environ["DESTINATION__DUCKDB__CREDENTIALS"]
    pipeline.run(raising(os.environ["DIES"], token=GIVEN["in_code"]))
