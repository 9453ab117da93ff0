"""The life of an app, driven by heroku3 (PyPI), unmodified.

Usage: python lifecycle.py API_URL CA_FILE TARBALL, with HEROKU_API_KEY.
"""
import os
import sys
import time

import requests

import heroku3
import heroku3.api
from heroku3.rendezvous import Rendezvous

url, ca_file, tarball = sys.argv[1:]
heroku3.api.HEROKU_URL = url


def until(what, ready):
    deadline = time.monotonic() + 90
    while True:
        seen = ready()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise SystemExit("waited 90 s for " + what)
        time.sleep(0.1)


class Client(heroku3.api.Heroku):
    """A client whose requests go to this niwa: the library has no option for it."""

    def __init__(self, session=None):
        super().__init__(session)
        self._heroku_url = url


client = Client(requests.session())
client._session.trust_env = False
client.authenticate(os.environ["HEROKU_API_KEY"])
assert client.is_authenticated
assert client.account().email.endswith("@localhost")

app = client.create_app(name="python-garden", stack_id_or_name="heroku-24")
assert app.name == "python-garden"
config = app.config()
config["GREETING"] = "from python"
assert app.config()["GREETING"] == "from python"

blob = client._http_resource("POST", ("sources",)).json()["source_blob"]
with open(tarball, "rb") as source:
    assert requests.put(blob["put_url"], data=source.read(), timeout=60).ok
build = app.create_build(url=blob["get_url"], version="one")
until("the build", lambda: [b for b in app.builds() if b.id == build.id][0].status != "pending")
assert [b for b in app.builds() if b.id == build.id][0].status == "succeeded"
until("the web dyno", lambda: [d for d in app.dynos() if d.name == "web.1" and d.state == "up"])

assert app.process_formation()["web"].quantity == 1
app.scale_formation_process("web", 2)
until("two web dynos", lambda: len([d for d in app.dynos() if d.state == "up"]) == 2)
app.resize_formation_process("web", "standard-2x")
assert app.process_formation()["web"].size == "Standard-2X"
app.restart()

addon = app.install_addon("heroku-redis:mini")
until("the add-on", lambda: "REDIS_URL" in app.config().to_dict())
assert [a.plan.name for a in app.addons()] == ["heroku-redis:mini"]

releases = app.releases(order_by="version", sort="desc", limit=1)
assert len(releases) == 1 and releases[0].version == max(r.version for r in app.releases())
first = [r for r in app.releases() if r.description.startswith("Deploy")][0]
app.rollback("v%d" % first.version)

dyno = app.run_command_detached("echo detached")
assert dyno.name.startswith("run.")
until("its output", lambda: "detached" in app.get_log(dyno=dyno.name))

# The library verifies an attached dyno's certificate against Heroku's alone.
reply = client._http_resource("POST", ("apps", app.name, "dynos"), data='{"command": "echo attached", "attach": true, "size": null}').json()
meeting = Rendezvous(reply["attach_url"])
meeting.cert = ca_file
assert "attached" in meeting.start()

app.enable_maintenance_mode()
assert client.app("python-garden").maintenance
app.disable_maintenance_mode()
app.rename("python-pond")
client.app("python-pond").delete()
assert "python-pond" not in [a.name for a in client.apps()]
print("life cycle complete")
