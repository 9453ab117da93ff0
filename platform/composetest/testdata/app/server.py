# Counts requests in Postgres and in Redis, with their own clients.
import http.server
import os
import subprocess


def say(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        rows = say("psql", os.environ["DATABASE_URL"], "-qAtc",
                   "create table if not exists hits (n int); insert into hits values (1); select count(*) from hits")
        hits = say("redis-cli", "-u", os.environ["REDIS_URL"], "--no-auth-warning", "incr", "hits")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"postgres {rows}, redis {hits}".encode())


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), App).serve_forever()
