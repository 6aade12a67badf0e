"""A server whose slide was scored, and how its analysis is opened: what tests of the Count screen share."""

import json
from dataclasses import dataclass

import httpx
from playwright.sync_api import Page, expect

from tests.browser.environment import BrowserEnvironment
from tests.browser.waiting import wait_until
from tests.services import until

SURE = ((500, 600), (620, 700), (760, 560), (900, 900), (2100, 1500), (1500, 1200))
POSSIBLE = {(1200, 1600): 14, (1900, 600): 12}
"""Side by place of dots below the threshold: .34 and .25."""
WIDTH, HEIGHT = 2400, 1900


@dataclass(frozen=True, slots=True)
class Scored:
    """A server with one slide that was scored."""

    environment: BrowserEnvironment
    analysis: str
    slide: str

    @property
    def link(self) -> str:
        return f"{self.environment.address}/#analysis={self.analysis}"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.environment.address}/v1/analyses/{self.analysis}/{path}", timeout=600)


def score(environment: BrowserEnvironment, content: bytes, name: str) -> Scored:
    options = {"mpp": 0.25} if name.endswith(".png") else {}  # which states none
    with httpx.Client(base_url=environment.address, timeout=600) as client:
        stored = client.post("/v1/slides", files={"slide": (name, content)}).json()
        job = client.post("/v1/analyses", json={"slide": stored["id"], "options": options}).json()
        until(lambda: client.get(job["links"]["self"]).json()["state"] == "succeeded")
        return Scored(environment, job["id"], stored["id"])


def open_as(page: Page, scored: Scored, reviewer: str, *, more: str = "") -> None:
    """Open the analysis as a reviewer who has said nothing in other tests."""
    page.add_init_script(f"sessionStorage.setItem('mitoserve-reviewer', {json.dumps(reviewer)})")
    page.goto(scored.link + more)
    expect(page.locator("#window-counts")).to_be_visible()
    wait_until(page, "async () => (await import('/viewer/lib/state.js')).state.review !== null")
    expect(page.locator("#counting")).to_be_hidden()
