import json
import logging
import os
import re
import secrets
import time
import uuid
from datetime import UTC, datetime

from flask import Flask, Response, g, has_request_context, request
from prometheus_client import Counter, Histogram

log = logging.getLogger("app")
logging.addLevelName(logging.WARNING, "WARN")


class JSONLines(logging.Formatter):
    """One object a line, with the fields of extra and which request it is about."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        if has_request_context() and "request_id" in g:
            line |= {"request_id": g.request_id, "trace_id": g.traceparent[3:35]}
        return json.dumps(line, ensure_ascii=False)


# How all of a process logs, gunicorn with it; that has no say in who asked for
# what, which observe logs.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "observe.JSONLines"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"level": (os.environ.get("LOG_LEVEL") or "info").upper(), "handlers": ["stdout"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
    },
}

REQUESTS = Counter("http_requests_total", "Requests answered.", ["method", "route", "status"])
DURATION = Histogram("http_request_duration_seconds", "Time until the answer.", ["method", "route"])
READS = Counter("cache_reads_total", "Reads of a user: hit, miss or bypass.", ["result"])

SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def observe(app: Flask) -> None:
    """Gives each request its ids, counts it, and logs how it ended. One that looks into the cache says so in g."""

    @app.before_request
    def begin() -> None:
        g.started = time.monotonic()
        given, trace = request.headers.get("X-Request-Id", ""), request.headers.get("traceparent", "")
        g.request_id = given if SAFE_ID.fullmatch(given) else str(uuid.uuid4())
        # A trace that came along goes on (https://www.w3.org/TR/trace-context/).
        g.traceparent = trace if TRACE.fullmatch(trace) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"

    @app.after_request
    def end(response: Response) -> Response:
        took, cache = time.monotonic() - g.started, g.get("cache", "")
        route = request.url_rule.rule.translate({ord("<"): "{", ord(">"): "}"}) if request.url_rule else "other"
        response.headers["X-Request-Id"] = g.request_id
        REQUESTS.labels(request.method, route, response.status_code).inc()
        DURATION.labels(request.method, route).observe(took)
        if cache:
            response.headers["X-Cache"] = cache
            READS.labels(cache).inc()
        fields = {"method": request.method, "path": request.path, "route": route, "status": response.status_code}
        log.info("request", extra={"fields": {**fields, "ms": round(took * 1000), "cache": cache}})
        return response
