"""Archives that are bombs, lead out of their folder, or hold a slide that names files elsewhere."""

import io
import lzma
import tarfile

from benchmarks.attack.ground import Ground, Tally, packed

SECRET = "a secret of the server's machine"


def attack(ground: Ground, tally: Tally) -> None:
    """Each is refused, no answer holds what lies elsewhere, and the server goes on."""
    secret = ground.folder / "secret.txt"
    secret.write_text(SECRET)
    server = ground.server()
    for name, content in _archives(str(secret)).items():
        answer = server.client.post(f"/v1/slides?filename={name}", content=content, timeout=300)
        tally.judge(400 <= answer.status_code < 500, f"{name}: {answer.status_code} {answer.text[:120]}")
        told = SECRET in answer.text or str(server.state) in answer.text or SECRET[:2].encode().hex() in answer.text
        tally.judge(not told, f"{name}: the answer tells {answer.text[:120]}")
        tally.judge(server.alive(), f"{name}: the server ended")
    left = list((server.state / "slides").iterdir())
    tally.judge(not left, f"{len(left)} slides were stored")
    server.stop()


def _archives(secret: str) -> dict[str, bytes]:
    outside = "../" * 20 + secret.lstrip("/")
    slidedat = f"[GENERAL]\nSLIDE_VERSION = 01.03\nSLIDE_ID = A\n[HIERARCHICAL]\nINDEXFILE = {outside}\n[DATAFILE]\nFILE_COUNT = 1\nFILE_0 = {outside}\n"
    mrxs = {"a.mrxs": b"", "a/Slidedat.ini": slidedat.encode(), "a/Index.dat": b"01.02A"}
    return {
        "outside.zip": packed({outside: b"x", "a.png": b"\x89PNG\r\n\x1a\n"}),
        "mrxs.zip": packed(mrxs),
        "link.tar": _tar_with_link("a.png", secret),
        "pax.tar.xz": lzma.compress(_pax_bomb()),
        "zeros.zip": packed({"a.svs": bytes(64 * 2**20)}),
        "records.zip": packed({f"{n}.txt": b"" for n in range(20_000)}),
    }


def _tar_with_link(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, target
        archive.addfile(link)
    return buffer.getvalue()


def _pax_bomb() -> bytes:
    """A tar whose one pax header has a record of 64 MiB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a.svs")
        entry.pax_headers = {"comment": "x" * (64 * 2**20)}
        archive.addfile(entry)
    return buffer.getvalue()
