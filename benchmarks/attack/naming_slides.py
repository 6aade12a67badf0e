"""Slides in formats that name other files, whose names lead to files of the server and of other owners."""

import io

import httpx
import numpy as np
from PIL import Image

from benchmarks.attack.environment import AttackEnvironment, AttackTally, packed, packed_folder
from tests.samples import noise, write_mrxs

SECRET = "a secret of the server's machine"
BRIGHT, DARK = 235, 60
"""Grey values of the picture that must not be shown, and of what the slides hold themselves."""
_VMS = "[Virtual Microscope Specimen]\nNoJpegColumns=1\nNoJpegRows=1\nMapFile={map}\nImageFile={image}\nMacroImage={macro}\n"


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Each is refused or shows its own pixels alone, brought as an archive and mounted, and no answer tells what lies elsewhere."""
    text, picture, root = (
        environment.folder / "secret.txt",
        environment.folder / "secret.jpg",
        environment.folder / "mounted",
    )
    text.write_text(SECRET)
    Image.fromarray(np.full((80, 100, 3), BRIGHT, np.uint8)).save(picture)
    root.mkdir()
    server = environment.server(slide_root=root)

    def judge(what: str, answer: httpx.Response) -> None:
        said = [answer.text]
        if answer.status_code == 201:
            shown = server.client.get(f"/v1/slides/{answer.json()['id']}/thumbnail")
            said.append(shown.text if shown.status_code != 200 else "")
            bright = shown.status_code == 200 and np.asarray(Image.open(io.BytesIO(shown.content))).max() > 200
            tally.judge(not bright, f"{what}: shows the picture that lies elsewhere")
        tally.judge(answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:200]}")
        told = any(
            secret in text for text in said for secret in (SECRET, str(environment.folder), f"0x{ord(SECRET[0]):02x}")
        )
        tally.judge(not told, f"{what}: the answer tells {answer.text[:200]}")

    places = {
        "absolute": str,
        "upwards": lambda path: "../" * 20 + str(path).lstrip("/"),
        "beside": lambda path: f"../../{path.name}",
    }
    for kind, written in places.items():
        for target in (text, picture):
            for key in ("data", "index"):
                what = f"{key} of an MRXS, {kind}, {target.name}"
                folder = environment.folder / what.replace(", ", "-").replace(" ", "-")
                folder.mkdir()
                write_mrxs(folder / "a.mrxs", np.full((80, 100, 3), DARK, np.uint8), **{key: written(target)})
                judge(what, server.client.post("/v1/slides?filename=a.zip", content=packed_folder(folder)))
                (folder / "a.mrxs").rename(root / f"{folder.name}.mrxs")
                (folder / "a").rename(root / folder.name)
                judge(f"{what}, mounted", server.client.post("/v1/slides", json={"path": f"{folder.name}.mrxs"}))
            stated = {name: written(target) for name in ("map", "image", "macro")}
            vms = (_VMS.format(**stated) + " " * 200).encode()
            judge(
                f"VMS, {kind}, {target.name}",
                server.client.post("/v1/slides?filename=a.zip", content=packed({"a.vms": vms})),
            )
            judge(f"VMS alone, {kind}, {target.name}", server.client.post("/v1/slides?filename=a.vms", content=vms))
    (root / "link.jpg").symlink_to(picture)
    (root / "linked").symlink_to(environment.folder)
    for path in (
        "link.jpg",
        "linked/secret.jpg",
        "../secret.jpg",
        str(picture),
        "linked/../secret.jpg",
        "..\\secret.jpg",
    ):
        answer = server.client.post("/v1/slides", json={"path": path})
        tally.judge(400 <= answer.status_code < 500, f"mounted {path}: {answer.status_code}")
    own = environment.folder / "own"
    own.mkdir()
    write_mrxs(own / "a.mrxs", noise(100, 80))
    answer = server.client.post("/v1/slides?filename=a.zip", content=packed_folder(own))
    tally.judge(answer.status_code == 201, f"a slide that names its own files is refused: {answer.text[:200]}")
    server.stop()
