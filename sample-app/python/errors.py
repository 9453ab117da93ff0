from flask import Flask, jsonify
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from observe import log


class ApiError(Exception):
    """What a client is told: an id to program against and a message for people."""

    def __init__(self, status: int, id: str, message: str):
        super().__init__(message)
        self.status, self.id, self.message = status, id, message


def not_found() -> ApiError:
    return ApiError(404, "not_found", "There is no such user.")


def email_taken() -> ApiError:
    return ApiError(409, "conflict", "Another user has this email.")


def stale() -> ApiError:
    return ApiError(412, "precondition_failed", "The user has changed since you read it; read it again.")


def invalid(message: str) -> ApiError:
    return ApiError(422, "invalid_params", message)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "bad_request", message)


def known(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case HTTPException(code=404):
            return ApiError(404, "not_found", "There is nothing here.")
        case HTTPException(code=405):
            return ApiError(405, "method_not_allowed", "The path has no such method.")
        case HTTPException(code=413):
            return ApiError(413, "request_too_large", "The body has more than 64 KiB.")
        case HTTPException():
            return bad_request(error.description or error.name)
        case SQLAlchemyError():  # Postgres is away, busy or too slow
            log.error("Postgres did not do it", extra={"fields": {"error": first_line(error)}})
            return ApiError(503, "unavailable", "The users cannot be reached right now; try again.")
        case _:
            log.exception("request failed")
            return ApiError(500, "internal_error", "Something went wrong here; the log has it under the X-Request-Id.")


def answer_errors(app: Flask) -> None:
    """The one place where errors become answers. Those that nobody meant for a client are logged, not shown."""

    @app.errorhandler(Exception)
    def answer_error(error: Exception):
        told = known(error)
        response = jsonify(id=told.id, message=told.message)
        if told.status == 503:
            response.headers["Retry-After"] = "1"
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response, told.status


def first_line(error: Exception) -> str:
    return str(getattr(error, "orig", error)).partition("\n")[0]
