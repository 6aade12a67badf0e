"""Who is logged in: by a key or by an identity provider, alone or in a project that people share."""

from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.browser.environment import serve
from tests.clients import bearer
from tests.e2e.processes import free_port
from tests.issuer import AUDIENCE, CLIENT, running_issuer
from tests.limits import LONGEST_S
from tests.services import field

pytestmark = pytest.mark.e2e


def test_people_log_in_by_the_provider_and_tokens_are_renewed(page: Page, tmp_path: Path) -> None:
    with (
        running_issuer() as issuer,
        serve(
            tmp_path / "state", oidc_issuer=issuer.address, oidc_audience=AUDIENCE, oidc_client_id=CLIENT
        ) as environment,
    ):
        page.goto(environment.address)
        page.get_by_role("button", name="Log in by the identity provider").click()
        page.get_by_label("Name").fill("ann")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#account-open")).to_have_text("ann")
        expect(page.locator("#no-slides")).to_contain_text("No slides yet")
        page.evaluate("sessionStorage.setItem('mitoserve-key', 'ended')")
        page.locator("#account-open").click()
        expect(page.locator("#account-who")).to_contain_text("ann, oidc:ann. May see, bring and score slides")
        page.wait_for_function("() => sessionStorage.getItem('mitoserve-key') !== 'ended'")
        page.locator("#account-logout").click()
        expect(page.get_by_text("You are logged out.")).to_be_visible()
        page.goto(f"{environment.address}/viewer/login.html?code=made-up&state=other")
        expect(page.locator("#said")).to_contain_text("not begun in this tab")


def test_two_people_see_one_case_of_a_project(page: Page, tmp_path: Path) -> None:
    state = tmp_path / "state"
    keys = open_access(ServerSettings(state=state)).keys
    (ann, own), (bob, other) = (keys.create(name, ["score"]) for name in ("ann", "bob"))
    with serve(state) as environment:
        with httpx.Client(base_url=environment.address, headers=bearer(ann), timeout=LONGEST_S) as client:
            project = client.post("/v1/projects", json={"name": "Breast"}).json()["id"]
            acting = {"Mitoserve-Project": project}
            client.post("/v1/slides", files={"slide": ("CASE-1.png", field())}, headers=acting).raise_for_status()
        page.goto(environment.address)
        page.get_by_label("Key", exact=True).fill(ann)
        page.get_by_role("button", name="Continue").click()
        page.locator("#account-open").click()
        page.locator("#account-project").select_option(project)
        expect(page.locator("#account-open")).to_have_text("ann · Breast")
        page.locator("#account-open").click()
        page.locator("#account-member").fill(f"key:{other.id}")
        page.locator("#account-role").select_option("reviewer")
        page.locator("#account-member-add").click()
        expect(page.locator("#account-members li")).to_have_text(
            [f"key:{own.id}: manager", f"key:{other.id}: reviewer"]
        )
        assert Axe().run(page).response["violations"] == []
        page.locator("#account-logout").click()
        page.get_by_label("Key", exact=True).fill(bob)
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#no-slides")).to_contain_text("No slides yet")
        page.locator("#account-open").click()
        page.locator("#account-project").select_option(project)
        expect(page.locator("#slides .name")).to_have_text(["CASE-1.png"])


def test_a_lab_runs_it_with_keys_restarts_it_and_takes_a_key_back(page: Page, tmp_path: Path, shots: Path) -> None:
    state, port = tmp_path / "state", free_port()
    access = open_access(ServerSettings(state=state))
    (ann, own), (watcher, _) = access.keys.create("ann", ["score"]), access.keys.create("watcher", ["read"])

    def show(key: str) -> None:
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Continue").click()

    with serve(state, port=port, loopback_without_key="off") as environment:
        assert httpx.get(f"{environment.address}/v1/worklist", timeout=LONGEST_S).status_code == 401
        page.goto(environment.address)
        show("mito_made_up")
        expect(page.locator("#key-problem")).to_contain_text("This key does not open")
        page.screenshot(path=shots / "26-wrong-key.png")
        show(watcher)
        page.locator("#account-open").click()
        expect(page.locator("#account-who")).to_contain_text("watcher")
        page.locator("#account-logout").click()
        show(ann)
        with httpx.Client(base_url=environment.address, headers=bearer(ann), timeout=LONGEST_S) as client:
            slide = client.post("/v1/slides", files={"slide": ("CASE-1.png", field())}).json()["id"]
            client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25}}).raise_for_status()
        expect(page.locator("#slides .state-succeeded")).to_have_count(1)
        page.locator("#slides .name").click()
        expect(page.locator("#window-model")).to_have_text("2")
    page.locator("#slide").focus()
    page.keyboard.press("u")
    page.keyboard.press("r")
    expect(page.locator("#offline")).to_be_visible()
    with serve(state, port=port, loopback_without_key="off"):
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator("#window-you")).to_have_text("1")
        expect(page.locator("#key-dialog")).to_be_hidden()  # the tab has the key still
        open_access(ServerSettings(state=state)).keys.revoke(own.id)
        page.reload()
        show_again = page.locator("#key-problem")
        expect(show_again).to_contain_text("was revoked")
        page.screenshot(path=shots / "27-revoked.png")
