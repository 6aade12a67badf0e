"""kill -9 of server, worker and decoder at random moments."""

import random
import time

from benchmarks.faults.environment import FaultEnvironment, check, submit, upload_slide, wait
from tests.server_process import kill

ANALYSES, KILLS = 10, 20
PAUSE_S = (0.5, 4.0)
SEED = 11


def run(environment: FaultEnvironment) -> str:
    """Kill one of the three, chosen by chance, at 20 random moments during 10 analyses."""
    chance = random.Random(SEED)
    server = environment.server()
    slide = upload_slide(server, environment.slide)
    wanted = {round(0.3 + n / 100, 2): "" for n in range(ANALYSES)}
    for threshold in wanted:
        wanted[threshold] = submit(server, slide, threshold)
    killed = {"server": 0, "worker": 0, "decoder": 0}
    while sum(killed.values()) < KILLS:
        time.sleep(chance.uniform(*PAUSE_S))
        what = chance.choice(list(killed))
        if what == "server":
            server.kill()
            server.start()
        elif not any(kill(pid) for pid in (server.workers() if what == "worker" else server.decoders())[:1]):
            continue  # none lives at this moment; another is chosen
        killed[what] += 1
        if all(server.client.get(f"/v1/analyses/{a}").json()["state"] == "succeeded" for a in wanted.values()):
            break
    wait(server, list(wanted.values()))
    count = check(server, environment, wanted)
    server.stop()
    named = ", ".join(f"{number} of {what}" for what, number in killed.items())
    assert sum(killed.values()) == KILLS, f"all had ended after {named}"
    return (
        f"{sum(killed.values())} kills ({named}); {count.succeeded} of {ANALYSES} analyses succeeded, equal to undisturbed "
        f"runs, each once; begun {count.runs} times, at most {count.most_redone} tiles done again"
    )
