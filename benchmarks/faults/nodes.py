"""Two servers with disks of their own on one PostgreSQL and one bucket: kill -9 of all of one, and of its disk."""

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.faults.environment import FaultEnvironment, submit, upload_slide, wait, without_timing
from tests.postgres import running
from tests.s3 import s3_environment, s3_server
from tests.samples import noise, write_pyramid
from tests.server_process import ServerProcess, children, kill
from tests.services import events

ANALYSES, KILLS = 40, 6
PAUSE_S = (5.0, 25.0)
SEED = 7
SIDE = 3000


def run(environment: FaultEnvironment) -> str:
    """Kill one of the two at random moments during 40 analyses; it comes back with an empty disk."""
    programs = [shutil.which(name) for name in ("initdb", "pg_ctl", "moto_server")]
    if None in programs:
        return "not run: it needs initdb, pg_ctl and moto_server (pip install moto[server])"
    initdb, control = str(programs[0]), str(programs[1])
    environment = replace(environment, shared=environment.folder, undisturbed={})
    write_pyramid(environment.slide_path, noise(SIDE, SIDE, seed=5), compression="jpeg", levels=3)
    with tempfile.TemporaryDirectory(prefix="mitoserve-pg-") as folder, s3_server() as address:
        os.environ.update(s3_environment(address))
        with running(Path(folder), initdb, control):
            return _kill_nodes(environment, f"postgresql+psycopg://lab@/postgres?host={folder}")


def _kill_nodes(environment: FaultEnvironment, database: str) -> str:
    chance = random.Random(SEED)
    nodes = [_node(environment, name, database) for name in ("a", "b")]
    slide = upload_slide(nodes[0], environment.slide)
    wanted = {round(0.3 + n / 100, 2): "" for n in range(ANALYSES)}
    for number, threshold in enumerate(wanted):
        wanted[threshold] = submit(nodes[number % 2], slide, threshold)
    killed = 0
    while killed < KILLS:
        time.sleep(chance.uniform(*PAUSE_S))
        victim, other = chance.sample(nodes, 2)
        states = [other.client.get(f"/v1/analyses/{a}").json()["state"] for a in wanted.values()]
        if states.count("succeeded") == ANALYSES:
            break
        _kill_all(victim)
        killed += 1
        shutil.rmtree(victim.state)
        victim.start()
    wait(nodes[0], list(wanted.values()))
    begun = 0
    for number, (threshold, analysis) in enumerate(wanted.items()):
        client = nodes[number % 2].client
        shown = client.get(f"/v1/analyses/{analysis}").json()
        assert shown["state"] == "succeeded", shown
        report = client.get(shown["links"]["report"]).json()
        assert without_timing(report) == environment.make_expected_report(threshold), (
            f"{analysis} differs from an undisturbed run"
        )
        kinds = Counter(kind for _, kind, _ in events(client.get(shown["links"]["events"]).text))
        assert kinds["succeeded"] == 1, f"{analysis} ended {kinds['succeeded']} times"
        begun += kinds["running"]
    for node in nodes:
        node.stop()
    return (
        f"{killed} times kill -9 of all processes of one server and loss of its disk: {ANALYSES} of {ANALYSES} analyses "
        f"succeeded, each once, equal to undisturbed runs; begun {begun} times"
    )


def _node(environment: FaultEnvironment, name: str, database: str) -> ServerProcess:
    folder = environment.folder / name
    folder.mkdir()
    settings = {"database": database, "objects": f"s3://bucket/{environment.folder.name}"}
    settings |= {"providers": "CPUExecutionProvider", "model_window_s": 30}
    return ServerProcess(folder, environment.models, **settings).start()


def _kill_all(node: ServerProcess) -> None:
    """Send SIGKILL to the server and to all that it started."""
    found, waiting = [], [node.pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children(found[-1])
    node.kill()
    for pid in found[1:]:
        kill(pid)
