"""`Client` and `AsyncClient`: they run the same steps, one by waiting and one by awaiting."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from serving import __version__
from serving.client import analyses, uploads
from serving.client.answers import ClientError, RemoteAnalysis, RemoteSlide
from serving.client.effects import Ask, Effect, OnProgress, OnRetry, Outcome, Pause, ReadFile, Steps
from serving.client.uploads import Notes

T = TypeVar("T")

KEY_VARIABLE = "MITOSIS_KEY"
"""Environment variable that holds the API key, where none is given."""

FORMER_KEY_VARIABLE = "MITOSERVE_KEY"
"""The variable's name until 0.1; read for one more release where the present one is not set."""

_TIMEOUT = httpx.Timeout(60, read=300)
"""Seconds; a server that hashes or unpacks a slide of 10 GB answers after minutes."""


class Client:
    """A connection to the server at `server`; use it in a `with` block.

    Every call raises a `serving.client.ClientError` that says what to do, and sends again what a broken line lost.
    `on_retry` is called before each new try. An address that is none raises `ClientError` at once.
    """

    def __init__(
        self,
        server: str,
        *,
        key: str | None = None,
        notes: Notes | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._server, self._notes, self._on_retry = _check_server(server), notes or Notes(), on_retry
        self._http = httpx.Client(base_url=server, headers=_headers(key), timeout=_TIMEOUT, transport=transport)

    def upload(self, slide: Path, *, name: str | None = None, on_progress: OnProgress | None = None) -> RemoteSlide:
        """The slide in the file `slide`, brought to the server; an upload that broke off is gone on with."""
        return self._run(
            uploads.upload_slide(slide, server=self._server, name=name, on_progress=on_progress, notes=self._notes)
        )

    def start(self, slide: RemoteSlide | str, **options: Any) -> RemoteAnalysis:
        """A new analysis of a slide; `options` are those of the API."""
        return self._run(analyses.start(_id(slide), options))

    def look(self, analysis: RemoteAnalysis | str) -> RemoteAnalysis:
        """The analysis as it is now."""
        return self._run(analyses.look(_id(analysis)))

    def wait(self, analysis: RemoteAnalysis | str, *, on_progress: OnProgress | None = None) -> RemoteAnalysis:
        """The analysis once it has succeeded; raises `AnalysisFailedError` if it does not."""
        return self._run(analyses.wait(_id(analysis), on_progress=on_progress))

    def cancel(self, analysis: RemoteAnalysis | str) -> None:
        """End the analysis; one that has ended stays."""
        self._run(analyses.cancel(_id(analysis)))

    def remove(self, analysis: RemoteAnalysis | str) -> None:
        """Remove an analysis that has ended, with its result; one that has not ended is cancelled."""
        self._run(analyses.remove(_id(analysis)))

    def fetch(self, analysis: RemoteAnalysis | str, export: str = "report") -> bytes:
        """The result in a format of `serving.exports.EXPORTS`."""
        return self._run(analyses.fetch(_id(analysis), export=export, into=None))

    def download(self, analysis: RemoteAnalysis | str, export: str, path: Path) -> None:
        """Write the result to the file `path`, which appears whole or not at all."""
        self._run(analyses.fetch(_id(analysis), export=export, into=path))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                effect = steps.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            outcome = self._perform(effect)

    def _perform(self, effect: Effect) -> Outcome:
        if isinstance(effect, Pause):
            _tell(effect, self._on_retry)
            time.sleep(effect.seconds)
            return None
        if isinstance(effect, ReadFile):
            return _read(effect)
        try:
            with self._http.stream(**_arguments(effect)) as response:
                if effect.into is None or not response.is_success:
                    response.read()
                    return response
                part = _part(effect.into)
                with part.open("wb") as file:
                    file.writelines(response.iter_bytes())
                os.replace(part, effect.into)
                return httpx.Response(response.status_code, content=b"")
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """The same as `Client`, awaited; use it in an `async with` block."""

    def __init__(
        self,
        server: str,
        *,
        key: str | None = None,
        notes: Notes | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._server, self._notes, self._on_retry = _check_server(server), notes or Notes(), on_retry
        self._http = httpx.AsyncClient(base_url=server, headers=_headers(key), timeout=_TIMEOUT, transport=transport)

    async def upload(
        self, slide: Path, *, name: str | None = None, on_progress: OnProgress | None = None
    ) -> RemoteSlide:
        """See `Client.upload`."""
        return await self._run(
            uploads.upload_slide(slide, server=self._server, name=name, on_progress=on_progress, notes=self._notes)
        )

    async def start(self, slide: RemoteSlide | str, **options: Any) -> RemoteAnalysis:
        """See `Client.start`."""
        return await self._run(analyses.start(_id(slide), options))

    async def look(self, analysis: RemoteAnalysis | str) -> RemoteAnalysis:
        """See `Client.look`."""
        return await self._run(analyses.look(_id(analysis)))

    async def wait(self, analysis: RemoteAnalysis | str, *, on_progress: OnProgress | None = None) -> RemoteAnalysis:
        """See `Client.wait`."""
        return await self._run(analyses.wait(_id(analysis), on_progress=on_progress))

    async def cancel(self, analysis: RemoteAnalysis | str) -> None:
        """See `Client.cancel`."""
        await self._run(analyses.cancel(_id(analysis)))

    async def remove(self, analysis: RemoteAnalysis | str) -> None:
        """See `Client.remove`."""
        await self._run(analyses.remove(_id(analysis)))

    async def fetch(self, analysis: RemoteAnalysis | str, export: str = "report") -> bytes:
        """See `Client.fetch`."""
        return await self._run(analyses.fetch(_id(analysis), export=export, into=None))

    async def download(self, analysis: RemoteAnalysis | str, export: str, path: Path) -> None:
        """See `Client.download`."""
        await self._run(analyses.fetch(_id(analysis), export=export, into=path))

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                effect = steps.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            outcome = await self._perform(effect)

    async def _perform(self, effect: Effect) -> Outcome:
        if isinstance(effect, Pause):
            _tell(effect, self._on_retry)
            await asyncio.sleep(effect.seconds)
            return None
        if isinstance(effect, ReadFile):
            return await asyncio.to_thread(_read, effect)
        try:
            async with self._http.stream(**_arguments(effect)) as response:
                if effect.into is None or not response.is_success:
                    await response.aread()
                    return response
                part = _part(effect.into)
                with part.open("wb") as file:
                    async for piece in response.aiter_bytes():
                        await asyncio.to_thread(file.write, piece)
                os.replace(part, effect.into)
                return httpx.Response(response.status_code, content=b"")
        except httpx.TransportError as error:
            return error


def _check_server(server: str) -> str:
    """The address of a server without a slash at its end; raises `ClientError` for what is none."""
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise ClientError(f"{server} is no address of a server: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ClientError(f"{server} is no address of a server; write it as http://localhost:3000")
    return server.rstrip("/")


def _tell(pause: Pause, on_retry: OnRetry | None) -> None:
    if on_retry is not None and pause.reason:
        on_retry(pause.reason, pause.seconds)


def _headers(key: str | None) -> dict[str, str]:
    given = key or os.environ.get(KEY_VARIABLE) or os.environ.get(FORMER_KEY_VARIABLE)
    return {"User-Agent": f"mitoserve/{__version__}"} | ({"Authorization": f"Bearer {given}"} if given else {})


def _arguments(ask: Ask) -> dict[str, Any]:
    return {"method": ask.method, "url": ask.path, "headers": ask.headers, "content": ask.content}


def _read(read: ReadFile) -> bytes:
    with read.path.open("rb") as file:
        file.seek(read.offset)
        return file.read(read.size)


def _part(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.part")


def _id(thing: RemoteSlide | RemoteAnalysis | str) -> str:
    return thing if isinstance(thing, str) else thing.id
