"""Why a call of a server did not give what was asked for."""

from serving.core.errors import MitoserveError


class ClientError(MitoserveError):
    """Base of the client's errors."""

    slug = "internal-error"


class ConnectionLostError(ClientError):
    """The server could not be reached, or went away and did not come back."""

    slug = "internal-error"


class RefusedError(ClientError):
    """The server answered with a problem."""

    slug = "internal-error"

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(f"{detail} ({status}, {kind})")
        self.status, self.kind, self.detail = status, kind, detail


class AnalysisFailedError(ClientError):
    """The analysis ended without a result: it failed or was cancelled."""

    slug = "internal-error"
