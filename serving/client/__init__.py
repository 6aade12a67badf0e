"""A client of a Mitoserve server: `Client` waits, `AsyncClient` is awaited; both say the same. It needs no models."""

from serving.client.answers import (
    AnalysisFailedError,
    ClientError,
    ConnectionLostError,
    RefusedError,
    RemoteAnalysis,
    RemoteProgress,
    RemoteSlide,
)
from serving.client.clients import AsyncClient, Client

Analysis, Progress, Slide = RemoteAnalysis, RemoteProgress, RemoteSlide
"""Their names until 0.1, kept for one more release."""

__all__ = [
    "Analysis",
    "AnalysisFailedError",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionLostError",
    "Progress",
    "RefusedError",
    "RemoteAnalysis",
    "RemoteProgress",
    "RemoteSlide",
    "Slide",
]
