"""What a reader is given: the annotation file or folder, where the pictures lie, and what the caller knows better."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.pictures import PictureFolder, PictureProperties, read_properties
from serving.datasets.readers.classes import ClassNames
from serving.datasets.store import Dataset, Picture


@dataclass(frozen=True)
class Source:
    """One import.

    path : annotation file, or the folder of a data set that is several files
    images : folder that holds the pictures, also in folders below it
    mpp : um/px of every picture, in place of what files state
    mpp_of : um/px of the pictures of a slide, by its name, in place of both
    keeps_broken : pictures that do not open end no import: they keep the size that labels state, or are left out
    """

    path: Path
    images: Path
    name: str
    licence: str
    mpp: float | None = None
    classes: ClassNames = field(default_factory=ClassNames)
    mpp_of: Mapping[str, float] = field(default_factory=dict)
    keeps_broken: bool = False

    @cached_property
    def pictures(self) -> PictureFolder:
        """The pictures below `images`."""
        return PictureFolder(self.images)

    def picture(
        self,
        report: ImportReport,
        *names: str,
        stated: tuple[int, int] | None = None,
        where: str,
        nominal_mpp: float | None = None,
        in_file_px: bool = False,
    ) -> "Sized | None":
        """The picture that an annotation file names, with its size; None, and a line in the report, if none is known.

        names : how it may be called, the file's own word first
        stated : width and height that the annotation file gives; used where there is no picture
        where : the record that names it, for errors
        nominal_mpp : um/px that the data set's authors state, used where neither the caller nor the picture says
        in_file_px : the caller knows that labels are in px of the file, and converts them

        Raises
        ------
        FormatError
            If the picture has another size than the file states: the labels then lie in another picture's frame. So they
            may where its pixels are not square and nothing states a size.
        """
        found = self.pictures.find(*names)
        if found is None:
            if stated is None:
                report.dropped["pictures that are not in the folder of images, size unknown"] += 1
                return None
            report.noted["pictures that are not in the folder of images: size as the annotation file states it"] += 1
            return Sized(names[0], *stated, self.mpp or nominal_mpp)
        try:
            facts = read_properties(found)
        except FormatError as error:
            if not self.keeps_broken:
                raise
            if stated is None:
                report.dropped[f"pictures that do not open: {error}"] += 1
                return None
            report.noted[f"pictures that do not open: {error}"] += 1
            return Sized(self.pictures.relative(found), *stated, self.mpp or nominal_mpp)
        _check_size(self.path, where, found, facts, stated)
        if stated is None and not in_file_px and facts.stored_scale != (1.0, 1.0):
            raise FormatError(
                self.path,
                where,
                f"belongs to {found.name}, whose pixels are not square: whether its labels are in px of the file or in square ones "
                "is not known; label it in QuPath or ASAP, or resample it",
            )
        mpp = self.mpp or facts.mpp or nominal_mpp
        return Sized(self.pictures.relative(found), facts.width, facts.height, mpp, facts.stored_scale, facts.origin)

    def dataset(self, format_name: str, pictures: Iterable[Picture]) -> Dataset:
        """The data set of these pictures."""
        return Dataset(
            name=self.name,
            format=format_name,
            licence=self.licence,
            root=str(self.images.resolve()),
            pictures=tuple(pictures),
        )


@dataclass(frozen=True, slots=True)
class Sized:
    """A picture's path below the root, size and resolution; `stored_scale` and `origin` as `PictureProperties` has them."""

    path: str
    width: int
    height: int
    mpp: float | None
    stored_scale: tuple[float, float] = (1.0, 1.0)
    origin: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), px."""
        return self.width, self.height

    def fields(self) -> dict[str, Any]:
        """The fields of `Picture` that this settles."""
        identity = str(Path(self.path).with_suffix("").as_posix())
        return {
            "id": identity,
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "mpp": self.mpp,
        }


def _check_size(
    path: Path, where: str, picture: Path, facts: PictureProperties, stated: tuple[int, int] | None
) -> None:
    if stated is not None and stated != (facts.width, facts.height):
        raise FormatError(
            path,
            where,
            f"states {stated[0]} x {stated[1]} px, {picture.name} has {facts.width} x {facts.height}: "
            "these labels belong to another picture (labels of stitched pictures do not fit the originals)",
        )
