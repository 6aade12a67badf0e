"""A start with a clock 40 days ahead, and one that is put right again."""

from benchmarks.attack.environment import AttackEnvironment, AttackTally, analyse, start, upload_slide
from benchmarks.wrong_clock import WrongClock
from serving.jobs.retention import SWEEP_S

DAY = 86_400


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Nothing is deleted: slide, result and an unfinished upload are there before, during and after."""
    clock = WrongClock(environment.folder)
    with clock.read_by_children():
        server = environment.server(keep_slides_s=30 * DAY, keep_analyses_s=35 * DAY)
    slide = upload_slide(server, environment.picture())
    report = str(analyse(server, slide)["links"]["report"])
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Upload-Metadata": "filename YS5wbmc="}
    upload = server.client.post("/v1/uploads", headers=headers).headers["location"]
    server.terminate()

    def check(when: str) -> None:
        for what, address in (("slide", f"/v1/slides/{slide}"), ("result", report)):
            status = server.client.get(address).status_code
            tally.judge(status == 200, f"{when}: the {what} is gone, {status}")
        parts = list((server.state / "uploads").glob("*/part"))
        tally.judge(len(parts) == 1, f"{when}: {len(parts)} unfinished uploads")

    for when, offset in (("40 days ahead", 40 * DAY), ("right again", 0.0)):
        clock.set(offset)
        start(server)
        seen = server.state / "clock.json"
        before = seen.stat().st_mtime_ns if seen.exists() else 0
        server.wait_until(lambda: seen.exists() and seen.stat().st_mtime_ns != before, 5 * SWEEP_S)  # noqa: B023 - is over before the next
        check(when)
        if offset:
            server.terminate()
    status = server.client.head(upload, headers={"Tus-Resumable": "1.0.0"}).status_code
    tally.judge(status == 200, f"the unfinished upload: {status}")
    server.stop()
