"""What an API answers instead of a result."""


class ApiError(Exception):
    """An error of the API with AWS's own code.  `reason` is EBS direct's second, finer code."""

    def __init__(self, code: str, message: str, *, status: int = 400, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.reason = reason
