"""What the auditors said: how many boxes they confirmed, and the labels with their corrections."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serving.core.validation import describe_problem
from serving.datasets.csv_rows import table_rows
from serving.datasets.documents import read_document
from serving.datasets.import_report import FormatError
from serving.datasets.store import Annotation, Box, Dataset, Picture, Vote, read_store
from serving.scoring.reliability import wilson_interval
from training.labels.audit.audit_sample import Audit, AuditTile, file_hash
from training.labels.audit.sheet import ANSWERS_FILE, AUDIT_FILE, COLUMNS

AUDITOR = "audit"
"""The rater's name on added figures."""
PAPER = {"confirmed": "about 85 %", "added": "none"}
"""Section 4.1, of 500 tiles."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    tile: int = Field(ge=1)


class BoxVerdict(_Answer):
    """What the auditors said of a box, both counted from 1."""

    answer: Literal["confirm", "reject"]
    box: int = Field(ge=1)


class Addition(_Answer):
    """A mitotic figure that had no box; px of the tile."""

    answer: Literal["add"]
    x1: float
    y1: float
    x2: float
    y2: float


Answer = BoxVerdict | Addition
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="answer")])


@dataclass(frozen=True, slots=True)
class AuditResult:
    """Counts of boxes, and the tiles that were looked at."""

    tiles: int
    confirmed: int
    rejected: int
    added: int

    def lines(self) -> list[str]:
        """The result for people, beside the paper's."""
        boxes = self.confirmed + self.rejected
        low, high = (100 * v for v in wilson_interval(self.confirmed, boxes))
        share = (
            f"{100 * self.confirmed / boxes:.1f} % (95 % interval {low:.1f} to {high:.1f} %)" if boxes else "no boxes"
        )
        return [
            f"{self.tiles:,} tiles audited",
            f"{self.confirmed:,} of {boxes:,} boxes confirmed: {share}; paper: {PAPER['confirmed']}",
            f"{self.added:,} boxes added; paper: {PAPER['added']}",
            "The interval (Wilson) takes boxes as independent of one another.",
        ]


def read_audit(folder: Path) -> tuple[AuditResult, Dataset]:
    """The result of a filled sheet, and the audited data set with its corrections.

    A rejected box becomes a look-alike, with the agreement that it had; an added one a mitotic figure of agreement 1.
    Confirmed boxes, and pictures that were not drawn, stay as they are.

    Raises
    ------
    FormatError
        If an answer is wrong, doubled or missing; the message names file, line and field.
    ValueError
        If the audited store changed since the sheet was drawn.
    FileNotFoundError
        If the folder holds no audit, or the store is gone.
    """
    audit = read_document(folder / AUDIT_FILE, Audit)
    store = Path(audit.store)
    if file_hash(store) != audit.sha256:
        raise ValueError(f"{store} changed since the audit was drawn; its boxes may be others")
    answers = read_answers(folder / ANSWERS_FILE, audit)
    said = [a.answer for a in answers]
    result = AuditResult(len(audit.tiles), said.count("confirm"), said.count("reject"), said.count("add"))
    return result, apply_answers(read_store(store), audit, answers)


def read_answers(path: Path, audit: Audit) -> list[Answer]:
    """The answers of a filled table: one of every box, and additions.

    Raises
    ------
    FormatError
        If an answer is wrong, doubled or missing.
    """
    answers: list[Answer] = []
    lines: dict[tuple[int, int], int] = {}
    for row in table_rows(path, COLUMNS, known=COLUMNS):
        line, answer = row.line, _answer(path, row.line, row.cells)
        if answer.tile > len(audit.tiles):
            raise FormatError(path, f"line {line}", f"tile: {answer.tile}, but {len(audit.tiles)} were drawn")
        tile = audit.tiles[answer.tile - 1]
        if isinstance(answer, Addition):
            _check_addition(path, line, answer, tile)
        else:
            if answer.box > len(tile.boxes):
                raise FormatError(path, f"line {line}", f"box: {answer.box}, but the tile has {len(tile.boxes)}")
            first = lines.setdefault((answer.tile, answer.box), line)
            if first != line:
                raise FormatError(path, f"line {line}", f"box: answered in line {first} already")
        answers.append(answer)
    for number, tile in enumerate(audit.tiles, 1):
        for box in range(1, len(tile.boxes) + 1):
            if (number, box) not in lines:
                raise FormatError(path, f"tile {number}, box {box}", "no answer; add its line with confirm or reject")
    return answers


def _answer(path: Path, line: int, cells: dict[str, str]) -> Answer:
    values: dict[str, Any] = {name: cell.lower() for name, cell in cells.items() if cell}
    if "answer" not in values:
        raise FormatError(path, f"line {line}", "answer: empty; write confirm or reject, or add for a box of your own")
    if values["answer"] == "add" and "box" in values:
        raise FormatError(path, f"line {line}", "box: an added box has no number yet; leave the cell empty")
    try:
        return _ANSWER.validate_python(values)
    except ValidationError as error:
        raise FormatError(path, f"line {line}", describe_problem(error, skip=1, otherwise="answer")) from None


def _check_addition(path: Path, line: int, answer: Addition, tile: AuditTile) -> None:
    if not (0 <= answer.x1 < answer.x2 <= tile.width and 0 <= answer.y1 < answer.y2 <= tile.height):
        said = f"x1 to y2: not a box inside the tile of {tile.width} x {tile.height} px"
        raise FormatError(path, f"line {line}", said)


def apply_answers(dataset: Dataset, audit: Audit, answers: Sequence[Answer]) -> Dataset:
    """The data set with the answers applied."""
    rejected: dict[str, set[int]] = defaultdict(set)
    added: dict[str, list[Box]] = defaultdict(list)
    for answer in answers:
        tile = audit.tiles[answer.tile - 1]
        if isinstance(answer, Addition):
            added[tile.picture].append((answer.x1 + tile.x, answer.y1 + tile.y, answer.x2 + tile.x, answer.y2 + tile.y))
        elif answer.answer == "reject":
            rejected[tile.picture].add(tile.boxes[answer.box - 1])
    pictures = tuple(_correct_picture(p, rejected[p.id], added[p.id]) for p in dataset.pictures)
    return dataset.model_copy(update={"pictures": pictures})


def _correct_picture(picture: Picture, rejected: set[int], added: Sequence[Box]) -> Picture:
    kept = [
        a.model_copy(update={"label": "look-alike"}) if number in rejected else a
        for number, a in enumerate(picture.annotations)
    ]
    votes = (Vote(rater=AUDITOR, mitotic=True),)
    new = [Annotation(box=box, label="mitotic figure", agreement=1.0, votes=votes) for box in added]
    return picture.model_copy(update={"annotations": (*kept, *new)})
