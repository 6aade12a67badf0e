"""A start with another, an empty or a deleted database, and one that is deleted while the server runs."""

import shutil
import subprocess
import sys

from benchmarks.attack.environment import AttackEnvironment, AttackTally, analyse, upload_slide
from tests.server_process import PROGRAM


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Each start must be refused and leave slide and result as they are."""
    server = environment.server()
    slide = upload_slide(server, environment.picture())
    report = server.client.get(str(analyse(server, slide)["links"]["report"])).json()
    file, aside = server.state / "mitoserve.sqlite", environment.folder / "aside.sqlite"
    file.rename(aside)
    tally.judge(server.client.get("/readyz").status_code == 503, "ready without its database")
    answer = server.client.post("/v1/slides", files={"slide": ("b.png", environment.picture(9))})
    tally.judge(answer.status_code == 503, f"accepted a slide without its database: {answer.status_code}")
    aside.rename(file)
    tally.judge(server.client.get("/readyz").status_code == 200, "not ready with its database back")
    server.terminate()
    kept = sorted(path.relative_to(server.state) for path in server.state.rglob("*") if "sqlite" not in path.name)
    other = environment.folder / "other"
    other.mkdir()
    for url in (f"sqlite:///{environment.folder}/new.sqlite", None):
        if url is None:
            shutil.move(file, aside)
        environment = server.environment | ({} if url is None else {"MITOSIS_DATABASE": url})
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(server.port)],
            env=environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
        tally.judge(
            ran.returncode != 0 and b"database" in ran.stderr + ran.stdout, f"started on {url or 'no database'}"
        )
    shutil.move(aside, file)
    now = sorted(path.relative_to(server.state) for path in server.state.rglob("*") if "sqlite" not in path.name)
    tally.judge(set(kept) <= set(now) | {p for p in kept if "incoming" in p.parts}, "files are gone")
    server.start()
    again = server.client.get(str(analyse(server, slide)["links"]["report"])).json()
    tally.judge(again["counts"] == report["counts"], "another result")
    server.stop()
