"""Users is a web service that creates, reads, updates, deletes, lists and searches users. Postgres is the only truth;
Redis, before it, makes reads fast and can never make them wrong.

gunicorn app:app   serve HTTP on $PORT
flask migrate      bring the schema up to date (the release phase)
flask seed         add users to look at (postdeploy)
"""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask, Response, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from cache import Cache
from database import run_script
from errors import answer_errors, bad_request, first_line, invalid, not_found, stale
from observe import log, observe
from outbox import Outbox
from users import CONTROL, Users, clean, ping

MAX_BIGINT = 2**63 - 1
MAX_BODY = 64 * 1024  # bytes
PAGE = Path(__file__).with_name("page.html").read_bytes()

app = Flask(__name__, static_folder=None)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024  # beyond it the connection is cut
app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
app.json.sort_keys = False
app.url_map.merge_slashes = False
observe(app)
answer_errors(app)

outbox = Outbox()
users = Users(Cache(), outbox)
waiting = Gauge("outbox_events", "Events that Kafka does not have yet; NaN without Postgres.")
waiting.set_function(outbox.length)


@app.get("/")
def page():
    return Response(PAGE, mimetype="text/html")


@app.get("/metrics")
def metrics():
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


@app.get("/health")
def health():
    """Fails without Postgres. Without the cache the app is merely slower."""
    cache = users.cache.state()
    try:
        ping()
    except SQLAlchemyError as error:
        log.warning("Postgres does not answer", extra={"fields": {"error": first_line(error)}})
        return {"status": "failing", "postgres": "down", "cache": cache}, 503, {"Retry-After": "1"}
    return {"status": "ok", "postgres": "ok", "cache": cache}


@app.get("/users")
def list_users():
    """The Link header has the next page: it names the last id seen, so that what is added meanwhile shifts nothing."""
    limit, after, text = request.args.get("limit") or "20", request.args.get("after") or "0", request.args.get("q", "")
    if not 1 <= number(limit) <= 100:
        raise invalid("limit must be a number from 1 to 100")
    if not 0 <= number(after) <= MAX_BIGINT:
        raise invalid("after must be the id of a user")
    if len(text.encode()) > 100 or CONTROL.search(text):
        raise invalid("q must be a text of at most 100 bytes")
    found = users.list(int(after), int(limit) + 1, text)
    response = jsonify(found[: int(limit)])
    if len(found) > int(limit):
        following = {"limit": limit, "after": found[int(limit) - 1]["id"]} | ({"q": text} if text else {})
        response.headers["Link"] = f'</users?{urlencode(following)}>; rel="next"'
    return response


@app.post("/users")
def create_user():
    user = users.create(**body())
    response = answer(user)
    response.headers["Location"] = f"/users/{user['id']}"
    return response, 201


@app.get("/users/<id>")
def get_user(id: str):
    look = users.cache.look(user_id(id))
    g.cache = look.how
    return answer(users.get(look))


@app.put("/users/<id>")
def update_user(id: str):
    return answer(users.update(user_id(id), wanted_version(), **body()))


@app.delete("/users/<id>")
def delete_user(id: str):
    users.delete(user_id(id), wanted_version())
    return "", 204


@app.cli.command("migrate")
def migrate():
    """Bring the schema up to date."""
    run_script("schema.sql")


@app.cli.command("seed")
def seed():
    """Add users to look at."""
    run_script("seed.sql")


def answer(user: dict) -> Response:
    """The user; or 304 and no more, if the client has it."""
    response = jsonify(user)
    response.set_etag(str(user["version"]))
    return response.make_conditional(request)


def number(text: str) -> int:
    """What digits say, or -1."""
    return int(text) if re.fullmatch("[0-9]{1,30}", text) else -1


def user_id(text: str) -> int:
    if not 1 <= number(text) <= MAX_BIGINT:
        raise not_found()
    return number(text)


def wanted_version() -> int | None:
    """The version that the user must have; None for any."""
    header = request.headers.get("If-Match", "*")
    if header == "*":
        return None
    if not re.fullmatch('"[0-9]{1,19}"', header):
        raise stale()
    return int(header.strip('"'))


def body() -> dict:
    """Reads a user from the body."""
    data = request.get_data()
    if len(data) > MAX_BODY:
        raise RequestEntityTooLarge
    try:
        given = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON in UTF-8.") from None
    if not isinstance(given, dict) or not given.keys() <= {"name", "email"}:
        raise bad_request('Send a JSON object like {"name": "Ada", "email": "ada@example.com"}.')
    fields = [given.get(name) for name in ("name", "email")]
    if not all(field is None or is_text(field) for field in fields):
        raise bad_request("name and email are texts.")
    return clean(*(field or "" for field in fields))


def is_text(value: object) -> bool:
    """Half of a surrogate pair is none."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)
