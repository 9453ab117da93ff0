# How gunicorn serves the app: https://gunicorn.org/reference/settings/
import os

from gunicorn.workers.gthread import ThreadWorker

from database import PROCESSES
from observe import LOGGING


class Worker(ThreadWorker):
    """Does not wait, when it stops, for connections on which nobody has asked anything."""

    def murder_pending(self):
        if not self.alive:
            for connection in self.pending_conns:
                connection.timeout = 0
        super().murder_pending()


bind = f"0.0.0.0:{os.environ.get('PORT') or 5000}"
workers = PROCESSES
worker_class = Worker
threads = 16 // PROCESSES  # more than there are connections: a request may wait for who trusts an old epoch
keepalive = 90  # seconds; longer than the router keeps connections
graceful_timeout = 25  # Heroku kills after 30
control_socket_disable = True
logconfig_dict = LOGGING


# Each process has its own app.
def post_worker_init(worker):
    from app import outbox

    outbox.start()


def worker_exit(server, worker):
    from app import outbox

    outbox.stop()
