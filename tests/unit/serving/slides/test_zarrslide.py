"""OME-Zarr 0.4 and 0.5: the pixels of any order of axes, and a refusal of whatever is not known to be read rightly."""

import json
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.cohort.listing import manifest_at
from serving.core.errors import MitoserveError, SlideTooLargeError, UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.slides import zarrslide
from serving.slides.hashing import slide_sha256
from serving.slides.opening import open_slide
from serving.slides.slidefiles import find_slide, slides_below
from serving.store.archives import unpack
from tests.mutants import Specimen, mutate
from tests.omezarr import change_json, write_ome_zarr
from tests.samples import noise, write_picture

PIXELS = noise(700, 500)


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits(opening_cpu_s=20, read_cpu_s=20))
    yield made
    made.close()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "czyx", "tczyx", "tzyxc"])
def test_every_order_of_axes_shows_the_picture(tmp_path: Path, version: str, axes: str) -> None:
    folder = write_ome_zarr(tmp_path / "a.ome.zarr", PIXELS, version=version, axes=axes)
    with open_slide(folder) as slide:
        assert (slide.width, slide.height, slide.vendor) == (700, 500, "ome-zarr")
        assert slide.pixel_size == pytest.approx((0.25, 0.25))
        assert slide.level_dimensions == ((700, 500), (350, 250))
        assert np.array_equal(slide.read(Region(130, 90, 301, 277), 301, 277), PIXELS[90:367, 130:431])
        over = slide.read(Region(650, 450, 100, 100), 100, 100)
    assert np.array_equal(over[:50, :50], PIXELS[450:, 650:])
    assert (over[50:] == 255).all()


def test_a_scale_without_a_unit_is_no_resolution(tmp_path: Path) -> None:
    with open_slide(write_ome_zarr(tmp_path / "a.zarr", PIXELS, mpp=None)) as slide:
        assert slide.pixel_size is None


def test_a_decoder_reads_it_and_all_of_the_folder_is_its_id(decoders: Decoders, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.ome.zarr", PIXELS)
    before = slide_sha256(folder)
    with open_isolated(decoders, folder, name="a") as slide:
        assert np.array_equal(slide.read(Region(130, 90, 301, 277), 301, 277), PIXELS[90:367, 130:431])
    folder.rename(tmp_path / "b.zarr")
    assert slide_sha256(tmp_path / "b.zarr") == before
    chunk = next(path for path in (tmp_path / "b.zarr" / "1").rglob("*") if path.is_file() and path.suffix == "")
    chunk.unlink()
    assert slide_sha256(tmp_path / "b.zarr") != before


def test_a_folder_with_one_is_not_looked_at_below_it(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "slides" / "a.ome.zarr", PIXELS, side=64)
    write_picture(folder / "thumbnail.png", noise(50, 40))
    write_ome_zarr(folder / "labels" / "nuclei", PIXELS)
    assert find_slide(tmp_path, "x").main_path == folder / "zarr.json"
    slides, pictures, others = slides_below(tmp_path, "x")
    assert (len(slides), pictures, others) == (1, [], [])
    listed = [entry.source for entry in manifest_at(str(tmp_path / "slides")).entries]
    assert listed == [str(folder)]


def test_one_arrives_in_an_archive(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.ome.zarr", PIXELS, version="0.4")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    found = unpack(tmp_path / "a.zip", tmp_path / "out", max_bytes=2**24)
    assert found.main == ".zattrs"
    assert slide_sha256(found.main_path) == slide_sha256(folder)


def _change(folder: Path, place: str, **values: Any) -> Path:
    change_json(folder / place / "zarr.json", **values)
    return folder


def _codec(folder: Path, name: str) -> Path:
    codecs = json.loads((folder / "0" / "zarr.json").read_text())["codecs"]
    return _change(folder, "0", codecs=[*codecs, {"name": name}])


def _datasets(folder: Path, place: str) -> Path:
    stated = json.loads((folder / "zarr.json").read_text())
    stated["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = place
    (folder / "zarr.json").write_text(json.dumps(stated))
    return folder


def _grid(folder: Path, *shape: int) -> Path:
    return _change(folder, "0", chunk_grid={"name": "regular", "configuration": {"chunk_shape": list(shape)}})


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda f: _codec(f, "numcodecs.pickle"), UnsupportedFormatError),
        (lambda f: _change(f, "0", data_type="float32"), UnsupportedFormatError),
        (lambda f: _change(f, "0", shape=[4, 500, 700]), UnsupportedFormatError),
        (lambda f: _change(f, "0", shape=[3, 500]), UnreadableSlideError),
        (lambda f: _change(f, "0", shape=[3, 2**40, 2**40]), SlideTooLargeError),
        (lambda f: _change(f, "0", shape=[3, -5, 700]), UnreadableSlideError),
        (lambda f: _change(f, "0", shape=["3", None, {}]), UnreadableSlideError),
        (lambda f: _grid(f, 3, 2**15, 2**15), SlideTooLargeError),
        (lambda f: _grid(f, 3, 0, 256), UnreadableSlideError),
        (lambda f: _grid(f, 256), UnreadableSlideError),
        (lambda f: _datasets(f, "../other"), UnreadableSlideError),
        (lambda f: _datasets(f, "/etc"), UnreadableSlideError),
        (lambda f: _datasets(f, "0/../../other"), UnreadableSlideError),
        (lambda f: _datasets(f, "missing"), UnreadableSlideError),
    ],
)  # fmt: skip
def test_json_that_asks_for_more_than_a_slide_is_refused(tmp_path: Path, damage: Any, kind: type[Exception]) -> None:
    write_ome_zarr(tmp_path / "other", PIXELS)
    folder = damage(write_ome_zarr(tmp_path / "a.zarr", PIXELS))
    with pytest.raises(kind) as refusal:
        open_slide(folder, name="block-7")
    assert str(tmp_path) not in str(refusal.value)


def test_a_version_2_codec_that_runs_code_is_refused(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS, version="0.4")
    change_json(folder / "0" / ".zarray", filters=[{"id": "pickle", "protocol": 5}])
    with pytest.raises(UnsupportedFormatError, match="pickle"):
        open_slide(folder)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS)
    secret = tmp_path / "secret"
    secret.write_text("x")
    os.symlink(secret, folder / "0" / "link")
    with pytest.raises(UnreadableSlideError, match="link or a device"):
        open_slide(folder)


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarrslide, "zarr", None)
    with pytest.raises(UnsupportedFormatError, match=r"pip install 'mitoserve\[zarr\]'"):
        open_slide(write_ome_zarr(tmp_path / "a.zarr", PIXELS))


@pytest.mark.parametrize("how", [{"version": "0.4"}, {"side": 64, "shard": 256}])
def test_whatever_is_damaged_the_error_is_an_intended_one(
    decoders: Decoders, tmp_path: Path, how: dict[str, Any]
) -> None:
    folder = write_ome_zarr(tmp_path / "a.ome.zarr", noise(300, 200), **how)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size > 100]
    chance, refused = random.Random(str(how)), 0
    for _ in range(40):
        path = chance.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutate(Specimen(path.name, whole, (), "OME-Zarr"), chance)[1])
        try:
            with open_isolated(decoders, folder, name="a") as slide:
                slide.thumbnail(300)
        except MitoserveError:
            refused += 1
        path.write_bytes(whole)
    assert refused > 5
