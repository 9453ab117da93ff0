# How gunicorn serves the app: https://gunicorn.org/reference/settings/
import os

from database import PROCESSES
from observe import LOGGING

bind = f"0.0.0.0:{os.environ.get('PORT') or 5000}"
workers = PROCESSES
worker_class = "gthread"
threads = 16 // PROCESSES  # more than there are connections: a request may wait for who trusts an old epoch
keepalive = 90  # seconds; longer than the router keeps connections
graceful_timeout = 20  # Heroku kills after 30, and connections on which nobody has asked anything may take all of it
control_socket_disable = True
logconfig_dict = LOGGING


# Each process has its own app.
def post_worker_init(worker):
    from app import outbox

    outbox.start()


def worker_exit(server, worker):
    from app import outbox

    outbox.stop()
