"""Two owners who brought the same bytes: what one can tell, take or delete of the other's, and what stays on record."""

import httpx

from benchmarks.attack.environment import AttackEnvironment, AttackTally, caller
from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.samples import noise, write_pyramid
from tests.services import events

NAMES = ("SMITH-JOHN-1950", "DOE-JANE-1960")
ASKED = {"options": {"mpp": 0.25, "min_tissue_fraction": 0}}


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Each sees its own alone, and deleting, analysing and reading leave the other's as they are."""
    server = environment.server(keep_tiles="on")
    mine, theirs, admin = caller(server, "first"), caller(server, "second"), caller(server, "boss", "admin")
    slides = environment.picture(), _damaged(environment)
    told: list[str] = []
    stored = []
    for content, suffix in zip(slides, (".png", ".tif"), strict=True):
        for name, owner in zip(NAMES, (mine, theirs), strict=True):
            answer = owner.post("/v1/slides", files={"slide": (name + suffix, content)})
            tally.judge(answer.status_code == 201, f"{name}{suffix}: {answer.status_code} {answer.text[:200]}")
            stored.append(answer.json()["id"])
    whole, damaged = stored[0], stored[2]
    walks = {}
    for name, owner in (("first", mine), ("second", theirs)):
        accepted = owner.post("/v1/analyses", json={"slide": whole, **ASKED}).json()
        owner.get(accepted["links"]["events"])  # ends with the analysis
        kinds = [kind for _, kind, _ in events(owner.get(accepted["links"]["events"]).text) if kind != "progress"]
        walks[name] = accepted["state"], kinds
        report = owner.get(accepted["links"]["report"])
        tally.judge(report.status_code == 200, f"{name} has no report: {report.status_code}")
        page = owner.get(accepted["links"]["report"], headers={"Accept": "text/html"})
        policy = page.headers.get("content-security-policy", ""), page.headers.get("x-content-type-options")
        tally.judge("default-src" in policy[0] and policy[1] == "nosniff", f"a report without policies: {policy}")
        other = theirs if owner is mine else mine
        for address in (accepted["links"]["self"], accepted["links"]["report"], accepted["links"]["events"]):
            tally.judge(other.get(address).status_code == 404, f"{address} of another is answered")
        told.append(owner.get("/v1/analyses").text + report.text + page.text if owner is theirs else "")
    tally.judge(walks["first"] == walks["second"], f"how an analysis goes tells that another has the slide: {walks}")
    looked = (
        f"/v1/slides/{damaged}/thumbnail",
        f"/v1/slides/{damaged}/iiif/500,500,500,500/max/0/default.jpg",
        "/v1/slides",
    )
    told += [theirs.get(address).text for address in looked]
    told.append(theirs.post("/v1/analyses", json={"slide": damaged, **ASKED}).text)
    tally.judge(not any(NAMES[0] in text for text in told), "the first owner's file name is told to the second")
    _delete(tally, whole, mine, theirs, admin)
    mine.get(f"/v1/slides/{NAMES[0]}.svs")
    log = server.log.read_text()
    tally.judge(not any(name in log for name in NAMES), "a name of a patient is in the log")
    records = list(open_access(ServerSettings(state=server.state)).audit.records())
    tally.judge(any(record.action.startswith("DELETE") for record in records), "a deletion is not on record")
    tally.judge(not any(name in str(record) for record in records for name in NAMES), "the audit log names a patient")
    read = [record for record in records if record.actor.startswith("key:") and record.subject == whole]
    tally.judge(any(record.action.startswith("GET") for record in read), "an administrator's look is not on record")
    server.stop()


def _delete(tally: AttackTally, slide: str, mine: httpx.Client, theirs: httpx.Client, admin: httpx.Client) -> None:
    """An administrator deletes, then an owner: each time one owner's slide alone goes."""
    address = f"/v1/slides/{slide}"

    def left(what: str, **expected: int) -> None:
        found = {"mine": mine.get(address).status_code, "theirs": theirs.get(address).status_code}
        tally.judge(found == expected, f"{what}: {found}")

    tally.judge(admin.delete(address).status_code == 409, "an administrator deletes without saying whose")
    left("refused", mine=200, theirs=200)
    tally.judge(theirs.delete(address).status_code == 204, "an owner cannot delete its own")
    left("the second deleted its own", mine=200, theirs=404)
    tally.judge(mine.get(f"{address}/thumbnail").status_code == 200, "the first owner's pixels are gone")
    tally.judge(admin.get(f"{address}/thumbnail").status_code == 200, "an administrator cannot look")
    tally.judge(theirs.delete(address).status_code == 404, "one that was deleted is deleted again")
    left("deleted twice", mine=200, theirs=404)


def _damaged(environment: AttackEnvironment) -> bytes:
    """A TIFF whose directory is whole and of whose tiles some are not."""
    path = write_pyramid(environment.folder / "damaged.tif", noise(1200, 1200), compression="jpeg", levels=2)
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 30_000] = b"\xff\xd8\xff" * 10_000
    return bytes(content)
