"""Errors of a server: for its operator, and for its clients."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from rldf_gym.errors import RLDFError


class ServingError(RLDFError):
    """A server that cannot be started as asked."""


class RequestError(HTTPException):
    """A request that gets no images.

    Args:
        status: of the answer.
        message: what is wrong and how to fix it.
        code: which kind of error, for programs; None for the name of the status.
        param: the field of the request at fault, if one is.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code or HTTPStatus(status).name.lower()
        self.param = param

    def response(self) -> JSONResponse:
        """Return the error response, in the format of the Images API."""
        kind = "invalid_request_error" if self.status_code < 500 else "server_error"
        error = {"message": self.detail, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status_code, self.headers)
