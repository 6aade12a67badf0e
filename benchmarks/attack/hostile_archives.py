"""Archives that are bombs, lead out of their folder, or hold a slide that names files elsewhere."""

import io
import lzma
import struct
import tarfile
import time

from benchmarks.attack.environment import AttackEnvironment, AttackTally, packed
from benchmarks.footprint import Footprint, memory_bytes

SECRET = "a secret of the server's machine"
ANSWER_S = 90.0
"""On a machine that does much else."""
GROWTH_BYTES = 700 * 2**20
"""Of all processes together: what unpacks may take 512 MiB."""


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Each is refused, as a slide and as a model, no answer holds what lies elsewhere, and the server goes on in bounded memory."""
    secret = environment.folder / "secret.txt"
    secret.write_text(SECRET)
    server, footprint = environment.server(), Footprint()
    before = memory_bytes(server.pid)
    with footprint.watching(server):
        for name, content in _archives(str(secret)).items():
            for address in (f"/v1/slides?filename={name}", "/v1/registry/versions"):
                what, started = f"{name} to {address.partition('?')[0]}", time.monotonic()
                answer = server.client.post(address, content=content, timeout=4 * ANSWER_S)
                seconds = time.monotonic() - started
                tally.judge(400 <= answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:120]}")
                tally.judge(seconds < ANSWER_S, f"{what}: {seconds:.0f} s")
                secrets = (SECRET, str(server.state), SECRET[:2].encode().hex())
                tally.judge(not any(told in answer.text for told in secrets), f"{what}: told {answer.text[:120]}")
                tally.judge(server.alive(), f"{what}: the server ended")
    growth = footprint.peak_bytes - before
    tally.judge(growth < GROWTH_BYTES, f"all processes took {growth / 2**20:.0f} MiB more")
    tally.judge(footprint.deaths == 0, "the server or its worker was another afterwards")
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
        "long.tar.xz": lzma.compress(_long_name_bomb()),
        "records.zip": _many_records(1_000_000),
    }


def _tar_with_link(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, target
        archive.addfile(link)
    return buffer.getvalue()


def _many_records(count: int) -> bytes:
    """A zip of one file whose directory names it so many times."""
    whole = packed({"a.txt": b""})
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    directory = whole[start:end] * count
    return (
        whole[:start] + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, len(directory), start, 0)
    )


def _long_name_bomb() -> bytes:
    """A tar whose one GNU long name has 64 MiB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("x" * (64 * 2**20)))
    return buffer.getvalue()


def _pax_bomb() -> bytes:
    """A tar whose one pax header has a record of 64 MiB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a.svs")
        entry.pax_headers = {"comment": "x" * (64 * 2**20)}
        archive.addfile(entry)
    return buffer.getvalue()
