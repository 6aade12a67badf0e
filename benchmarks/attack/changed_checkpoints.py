"""One changed bit in a checkpoint of an analysis whose server was killed."""

import random
from pathlib import Path

from benchmarks.attack.environment import PATIENCE_S, AttackEnvironment, AttackTally, flip_bit, start, upload_slide
from serving.core.options import ScoringOptions
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.samples import noise, write_pyramid
from tests.services import events

SIDE, TRIES, SEED = 7000, 4, 17
"""49 tiles: the first checkpoint holds 32."""
KEYS = ("counts", "detections", "tiles")


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """The analysis goes on after the next start and ends once, with the numbers of an undisturbed one."""
    chance = random.Random(SEED)
    path = write_pyramid(environment.folder / "slide.tif", noise(SIDE, SIDE, seed=3), compression="jpeg", levels=4)
    server = environment.server()
    slide = upload_slide(server, path.read_bytes(), "slide.tif")
    detector = load_detector(environment.models)
    for number in range(TRIES):
        threshold = 0.3 + number / 100  # another one, or the first result would be given again
        asked = {"slide": slide, "options": {"mpp": 0.25, "threshold": threshold}}
        address = f"/v1/analyses/{server.client.post('/v1/analyses', json=asked).json()['id']}"
        server.wait_until(lambda: bool(_chunks(server.state)), PATIENCE_S)
        server.kill()
        chunks = _chunks(server.state)
        tally.judge(bool(chunks), f"try {number}: it had ended, and nothing could be changed")
        for chunk in chunks:
            flip_bit(chunk, chance.randrange(2**30))
        start(server)
        server.client.get(f"{address}/events", timeout=PATIENCE_S)  # ends with the analysis
        answer = server.client.get(f"{address}/report")
        with open_slide(path) as opened:
            undisturbed = score_slide(opened, detector, ScoringOptions(mpp=0.25, threshold=threshold)).report
        expected = undisturbed.model_dump(mode="json")
        found = answer.json()
        same = answer.status_code == 200 and all(found[key] == expected[key] for key in KEYS)
        tally.judge(same, f"try {number}: another result, or none: {answer.text[:200]}")
        kinds = [kind for _, kind, _ in events(server.client.get(f"{address}/events").text)]
        tally.judge(kinds.count("succeeded") == 1, f"try {number}: ended {kinds.count('succeeded')} times")
    server.stop()


def _chunks(state: Path) -> list[Path]:
    """Checkpoints of what runs."""
    return sorted(state.glob("checkpoints/*/*/*.npz"))
