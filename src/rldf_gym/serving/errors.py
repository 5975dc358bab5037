"""Errors of a server: for its operator, and for its clients."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

from rldf_gym.errors import RLDFError


class ServingError(RLDFError):
    """A server that cannot be started as asked."""


class RequestError(Exception):
    """A request that gets no images.

    Attributes:
        status: of the answer.
        message: what is wrong and how to fix it.
        code: which kind of error, for programs.
        param: the field of the request at fault, if one is.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the error response, in the format of the Images API."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status, self.headers)
