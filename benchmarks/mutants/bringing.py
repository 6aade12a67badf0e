"""One damaged slide on its way to the server, and what the server makes of it."""

import random
import time

import httpx

from benchmarks.mutants.outcome import Outcome
from tests.mutants import Specimen, mutate

REGION = "0,0,400,400"
ANALYSED = 10
"""One of so many slides is also analysed: that takes ten times as long as to open one and asks the same decoders."""


def bring_damaged(client: httpx.Client, whole: list[Specimen], seed: str) -> Outcome:
    """Bring the damaged slide that `seed` makes; no answer within the client's limit hangs."""
    chance = random.Random(seed)
    specimen = chance.choice(whole)
    damage, data = mutate(specimen, chance)
    analyse = chance.random() < 1 / ANALYSED
    started, hung, failure = time.monotonic(), False, None
    visit = _Visit(client)
    try:
        outcome, failure = visit.bring(specimen.name, data, analyse=analyse)
    except httpx.TimeoutException:
        outcome, hung, failure = "no answer", True, f"no answer within {client.timeout.read:g} s"
    except httpx.TransportError as error:
        outcome, failure = "connection lost", f"{type(error).__name__}"
    seconds = round(time.monotonic() - started, 2)
    return Outcome(seed, specimen.kind, damage, outcome, seconds, failure, hung, visit.waits)


class _Visit:
    """The requests for one slide."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.waits = 0

    def bring(self, name: str, data: bytes, *, analyse: bool) -> tuple[str, str | None]:
        """The outcome, and what was wrong with the server's answer if anything was."""
        stored = self._asked("PUT", "/v1/slides", params={"filename": name}, content=data)
        if stored.status_code != 201:
            return _describe_refusal("brought", stored)
        slide = stored.json()["id"]
        thumbnail = self._asked("GET", f"/v1/slides/{slide}/thumbnail", params={"max_side": 64})
        if thumbnail.status_code != 200:
            return _describe_refusal("thumbnail", thumbnail)
        if not analyse:
            return "read", None
        body = {"slide": slide, "options": {"mpp": 0.25, "roi": REGION, "min_tissue_fraction": 0}}
        submitted = self._asked("POST", "/v1/analyses", json=body)
        if submitted.status_code != 202:
            return _describe_refusal("analysis", submitted)
        address = submitted.headers["location"]
        self._asked("GET", f"{address}/events")  # ends with the analysis
        report = self._asked("GET", f"{address}/report")
        return ("analysed", None) if report.status_code == 200 else _describe_refusal("analysis", report)

    def _asked(self, method: str, address: str, **request: object) -> httpx.Response:
        """The answer; a server that asks to come again later is asked again, for as long as an answer may take."""
        deadline = time.monotonic() + (self._client.timeout.read or 0)
        while True:
            answer = self._client.request(method, address, **request)  # type: ignore[arg-type]
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer
            self.waits += 1
            time.sleep(float(answer.headers["retry-after"]))  # as the answer asks


def _describe_refusal(when: str, answer: httpx.Response) -> tuple[str, str | None]:
    kind = str(answer.json()["type"]).rsplit(":", 1)[-1]
    return f"{answer.status_code} {when}: {kind}", answer.text if answer.status_code >= 500 else None
