"""Generated fields laid out as MIDOG++ is published: pictures, a JSON of boxes, and the table of cases."""

import json
from pathlib import Path

from PIL import Image

from serving.datasets.readers.midog import SPLITS
from tests.fields import draw_field

MPP = 0.25
CASES = {
    "001": ("canine lymphoma", "3DHistech"),
    "002": ("human melanoma", "Hamamatsu"),
    "003": ("human melanoma", "Hamamatsu"),
}


def write_midog(folder: Path, *, broken: str | None = None) -> Path:
    """Write the data set; the picture of the case `broken` is cut off."""
    folder.mkdir(parents=True)
    images, boxes = [], []
    for number, case in enumerate(CASES, 1):
        field = draw_field(seed=80 + number, width=900, height=760, mitoses_per_mm2=250.0, lookalikes_per_mm2=150.0)
        path = folder / f"{case}.tiff"
        Image.fromarray(field.pixels).save(path)
        images.append({"id": number, "file_name": path.name, "width": 900, "height": 760, "tumor_type": CASES[case][0]})
        for label, found in ((1, field.mitotic_figures), (2, field.lookalikes)):
            boxes += [{"image_id": number, "category_id": label, "bbox": list(map(float, box))} for box in found]
        if case == broken:
            path.write_bytes(path.read_bytes()[:3000])
    categories = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}]
    (folder / "MIDOG++.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": boxes}))
    rows = [f"{int(case)};train;{tumour};{scanner};Vienna;none" for case, (tumour, scanner) in CASES.items()]
    (folder / SPLITS).write_text("\n".join(["Slide;Dataset;Tumor;Scanner;Origin;Species", *rows]) + "\n")
    return folder
