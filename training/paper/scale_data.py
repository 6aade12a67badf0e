"""Pictures, labels and initial weights of the smaller scales, made from what is at hand."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.datasets.formats import import_dataset
from serving.datasets.readers.registry import FORMATS
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset, Picture
from serving.synthetic.field import generate_field
from training.data.crops import CROP_PX, CropBank, read_crops
from training.data.fields import read_field
from training.data.windows import collage
from training.labels.consensus import CROWD, EXPERT, label_tile
from training.labels.labelers import CROWD_LABELERS, EXPERT_LABELERS, answer_parts, draw_boxes
from training.labels.records import Record, write_records
from training.paper.pretraining import pretrain


def data_root() -> Path:
    """The folder named by `MITOSIS_DATA`, by default `../shared/data` beside the checkout.

    Raises
    ------
    FileNotFoundError
        If there is no such folder; the message says what to set.
    """
    root = Path(os.environ.get("MITOSIS_DATA", Path(__file__).parents[2] / "../shared/data")).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"no labelled data at {root}; set MITOSIS_DATA to the folder that holds icpr2012/")
    return root


RECORDS = "records.jsonl"
"""What each labeler said, beside the store: Table 3 is of these."""
DATA_SEED = 5
ATNORM = ("atnorm-br", "atnorm-md")
"""The crops to pretrain on; the study's tiles are made of the others."""
PRETRAINING_STEPS = 800


def generate_data(folder: Path, *, patients: int, tests: int, side: int) -> Dataset:
    """Generated tissue: a field a patient, labelled by a simulated crowd; the test patients by simulated experts."""
    pictures: list[Picture] = []
    records: list[Record] = []
    for number in range(patients + tests):
        test = number >= patients
        patient = f"{'test' if test else 'train'}-{number:02d}"
        tissue = generate_field(seed=9_000 + number, width=side, height=side, mitoses_per_mm2=40, lookalikes_per_mm2=40)
        rng = np.random.default_rng([DATA_SEED, number])
        labelers, rule = (EXPERT_LABELERS, EXPERT) if test else (CROWD_LABELERS, CROWD)
        tile = _save(folder, patient, tissue.pixels, patient)
        cells = tissue.mitotic_figures, tissue.lookalikes
        looks = draw_boxes(tile, *cells, labelers, rng)
        pictures.append(label_tile(tile, looks, rule))
        records += looks
        if test:
            records += answer_parts(tile, *cells, labelers, rng)
    write_records(records, folder / RECORDS)
    return Dataset(
        name="generated tissue", format="generated", licence="CC0-1.0", root=str(folder), pictures=tuple(pictures)
    )


def make_real_data(folder: Path, *, tiles: int, share: float) -> Dataset:
    """Real figures: tiles of crops, labelled by a simulated crowd, to train on; the ICPR 2012 fields as the test set.

    Each tile holds 64 AMi-Br crops of one group of cases; in all but `share` of them the figure is covered.
    """
    pictures: list[Picture] = []
    records: list[Record] = []
    crops = _import("amibr", data_root() / "amibr.csv", data_root() / "amibr")
    bank = read_crops(crops.pictures, Path(crops.root))
    groups = np.array_split(np.random.default_rng(DATA_SEED).permutation(np.unique(bank.cases)), tiles)
    for number, cases in enumerate(groups):
        rng = np.random.default_rng([DATA_SEED, number])
        pixels, boxes = collage(bank, 8, rng, share=share, chosen=np.flatnonzero(np.isin(bank.cases, cases)))
        name = f"train-{number:02d}"
        tile = _save(folder, name, pixels, name)
        looks = draw_boxes(tile, boxes, np.empty((0, 4), np.float32), CROWD_LABELERS, rng)
        pictures.append(label_tile(tile, looks, CROWD))
        records += looks
    write_records(records, folder / RECORDS)
    fields = _import("icpr2012-fields", data_root() / "icpr2012" / "fields.json", data_root() / "icpr2012" / "fields")
    for picture in fields:
        field = read_field(picture, Path(fields.root))
        tile = _save(folder, f"test-{Path(picture.path).stem}", field.pixels, f"test-{picture.slide}")
        pictures.append(tile.model_copy(update={"annotations": picture.annotations}))
    return Dataset(
        name=f"collages of {CROP_PX} px AMi-Br crops; ICPR 2012 fields",
        format="collage",
        licence="research use; see the model cards",
        root=str(folder),
        pictures=tuple(pictures),
    )


def pretrain_trunk(folder: Path) -> str:
    """A micro ResNet that tells AtNorm crops with their figure from covered ones; no crop is in the study's tiles."""
    sets = [_import("atnorm", data_root() / name, data_root() / name) for name in ATNORM]
    banks = [read_crops(crops.pictures, Path(crops.root)) for crops in sets]
    joined = CropBank(np.concatenate([b.pixels for b in banks]), np.concatenate([b.cases for b in banks]))
    return str(pretrain(joined, "micro", folder, steps=PRETRAINING_STEPS))


def _import(format_name: str, path: Path, images: Path) -> Dataset:
    """A published data set at hand, through its reader."""
    source = Source(path=path, images=images, name=path.stem, licence=FORMATS[format_name].licence)
    return import_dataset(format_name, source)[0]


def _save(folder: Path, name: str, pixels: NDArray[np.uint8], patient: str) -> Picture:
    Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=95)
    height, width = pixels.shape[:2]
    return Picture(
        id=name,
        path=f"{name}.jpg",
        width=width,
        height=height,
        mpp=0.25,
        slide=patient,
        patient=patient,
    )
