"""Chosen tiles as PNG files, the table of all tiles, and a store that waits for labels."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from serving.datasets.patient import parse_patient
from serving.datasets.store import Dataset, Picture, write_store
from serving.scoring.reading import ReadClock, read_ahead
from serving.scoring.tiling import TILE_PX
from serving.slides.slide import Slide
from training.labels.tiles.ranking import RankedSlide, RankedTile

_COLUMNS = ("slide", "column", "row", "x", "y", "width", "height", "tissue_fraction", "score", "taken", "file")


@dataclass(frozen=True, slots=True)
class ChosenSlide:
    """A slide with the reason of each tile, empty for those that are not taken."""

    file: str
    ranked: RankedSlide
    reasons: Sequence[str]

    @property
    def stem(self) -> str:
        """Name of the slide and of its folder."""
        return Path(self.file).stem

    @property
    def taken(self) -> list[tuple[RankedTile, str]]:
        """Taken tiles with their reasons, row by row."""
        pairs = zip(self.ranked.tiles, self.reasons, strict=True)
        return [(tile, reason) for tile, reason in pairs if reason]

    def tile_path(self, tile: RankedTile) -> str:
        """A tile's file below the output folder; the numbers are its level-0 px."""
        region = tile.tile.region
        return f"{self.stem}/{region.x}_{region.y}.png"


def cut_tiles(slide: Slide, chosen: ChosenSlide, out: Path, on_progress: Callable[[int, int], None]) -> None:
    """Write the taken tiles as 1,000 px PNG files below `out`.

    Raises
    ------
    MitoserveError
        If the slide cannot be read.
    """
    taken = [tile for tile, _ in chosen.taken]
    (out / chosen.stem).mkdir(parents=True, exist_ok=True)
    on_progress(0, len(taken))
    with read_ahead(slide, chosen.ranked.frame, [t.tile for t in taken], ReadClock()) as patches:
        for done, (tile, (_, pixels)) in enumerate(zip(taken, patches, strict=True), 1):
            Image.fromarray(pixels).save(out / chosen.tile_path(tile))
            on_progress(done, len(taken))


def write_table(slides: Iterable[ChosenSlide], path: Path) -> None:
    """A line for every tile, taken or not: place in level-0 px, score, why it was taken, and its file."""
    part = path.with_suffix(".part")
    with part.open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(_COLUMNS)
        for slide in slides:
            for tile, reason in zip(slide.ranked.tiles, slide.reasons, strict=True):
                region = tile.tile.region
                table.writerow(
                    [
                        slide.file,
                        *tile.tile.cell,
                        region.x,
                        region.y,
                        region.width,
                        region.height,
                        f"{tile.tile.tissue_fraction:.4f}",
                        f"{tile.score:.6g}",
                        reason,
                        slide.tile_path(tile) if reason else "",
                    ]
                )
    part.replace(path)


def write_unlabelled_store(slides: Iterable[ChosenSlide], out: Path, *, name: str, licence: str, model: str) -> Dataset:
    """The store of the taken tiles, `out`/store.json: unlabelled, each with its place on its slide in level-0 px.

    model : what scored them
    """
    pictures = [_picture(slide, tile, reason, model) for slide in slides for tile, reason in slide.taken]
    dataset = Dataset(name=name, format="tiles", licence=licence, root=str(out.resolve()), pictures=tuple(pictures))
    write_store(dataset, out / "store.json")
    return dataset


def _picture(slide: ChosenSlide, tile: RankedTile, reason: str, model: str) -> Picture:
    path, region = slide.tile_path(tile), tile.tile.region
    return Picture(
        id=path.removesuffix(".png"),
        path=path,
        width=TILE_PX,
        height=TILE_PX,
        mpp=slide.ranked.frame.work_mpp,
        slide=slide.stem,
        patient=parse_patient(slide.file),
        labelled=False,
        attributes={
            "slide file": slide.file,
            "x": str(region.x),
            "y": str(region.y),
            "width": str(region.width),
            "height": str(region.height),
            "score": f"{tile.score:.6g}",
            "scored by": model,
            "taken": reason,
        },
    )
