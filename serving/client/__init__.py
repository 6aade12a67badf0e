"""A client of a Mitoserve server: `Client` waits, `AsyncClient` is awaited; both say the same. It needs no models."""

from serving.client.answers import Analysis, Progress, Slide
from serving.client.clients import AsyncClient, Client
from serving.client.errors import AnalysisFailedError, ClientError, ConnectionLostError, RefusedError

__all__ = [
    "Analysis",
    "AnalysisFailedError",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionLostError",
    "Progress",
    "RefusedError",
    "Slide",
]
