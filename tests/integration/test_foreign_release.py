"""A network that others made on its way through a server: adopted, verified, shadowed beside the cascade, promoted, scored, rolled back.

It is fed as TIAToolbox states that KongNet is: windows of 512 px at 0.5 um, means and deviations of ImageNet, logits out.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner
from onnx import numpy_helper
from PIL import Image

from serving.adoption.contract import AdoptionContract
from serving.api.app import create_app
from serving.cli import main
from serving.core.report import Report
from serving.settings import ServerSettings
from tests.clients import LocalClient
from tests.fields import draw_field
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models
from tests.services import bring, submit, until
from tests.unit.serving.adoption.foreign import THRESHOLD, cut_network
from tests.unit.serving.scoring.test_miniatures import measure_f1

pytestmark = pytest.mark.integration
MEAN, STD = np.asarray([0.485, 0.456, 0.406]), np.asarray([0.229, 0.224, 0.225])
ROOT = Path(__file__).parents[2]


def write_logits(path: Path) -> Path:
    """The miniature of points as one that was trained on pixels less ImageNet's means over its deviations: (n, 3, h, w) -> (n, 1, h, w)."""
    model = cut_network("points", ["/head/Conv_output_0"])
    graph = model.graph
    # It was trained on (v - .5) / .5; what it is fed is (v - mean) / std.
    scale, shift = STD / 0.5, (MEAN - 0.5) / 0.5
    for node in graph.node:
        node.input[:] = ["trained" if value == "pixels" else value for value in node.input]
    for name, value in (("scale", scale), ("shift", shift)):
        graph.initializer.append(numpy_helper.from_array(value.astype(np.float32)[None, :, None, None], name))
    graph.node.insert(0, onnx.helper.make_node("Add", ["scaled", "shift"], ["trained"]))
    graph.node.insert(0, onnx.helper.make_node("Mul", ["pixels", "scale"], ["scaled"]))
    for tensor in (*graph.input, *graph.output):
        for axis in (2, 3):
            tensor.type.tensor_type.shape.dim[axis].dim_param = f"{tensor.name}_{axis}"
    onnx.save(model, path)
    return path


def read_documented() -> dict[str, Any]:
    """The contract that docs/detectors.md states for KongNet."""
    text = (ROOT / "docs" / "detectors.md").read_text()
    block = text[text.index("### KongNet") :].split("```yaml\n")[1].split("```")[0]
    stated: dict[str, Any] = yaml.safe_load(block)
    return stated


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the version."""
    root = tmp_path_factory.mktemp("adopted")
    stated = read_documented() | {"output": {"form": "map", "activation": "sigmoid"}}
    stated |= {"threshold": THRESHOLD, "least_probability": 0.2, "peak_distance_um": 6.0}
    (root / "contract.yaml").write_text(yaml.safe_dump(stated))
    source = write_logits(root / "theirs.onnx")
    arguments = [
        "models",
        "adopt",
        str(source),
        "--contract",
        str(root / "contract.yaml"),
        "--out",
        str(root / "models"),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return root / "models" / "points" / "1.0.0"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    settings = ServerSettings(
        state=tmp_path / "state", models=write_quick_models(tmp_path / "models"), providers=("CPUExecutionProvider",),
        model_window_s=LONGEST_S, min_free_bytes=0,
    )  # fmt: skip
    with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


def _pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for file in folder.iterdir():
            packed.write(file, file.name)
    return buffer.getvalue()


def _release(client: LocalClient, address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A release, once it serves or was refused."""
    asked = client.post(address, json=body)
    assert asked.status_code == 202, asked.text
    where = asked.headers["location"]
    until(lambda: client.get(where).json()["state"] != "wanted")
    return dict(client.get(where).json())


def _score(client: LocalClient, slide: str, **options: Any) -> Report:
    analysis = submit(client, slide, options={"mpp": 0.25, **options})["id"]
    where = f"/v1/analyses/{analysis}"
    until(lambda: client.get(where).json()["state"] in ("succeeded", "failed"))
    done = client.get(where).json()
    assert done["state"] == "succeeded", done
    return Report.model_validate(client.get(done["links"]["report"]).json())


def test_a_foreign_network_goes_the_whole_way(client: LocalClient, adopted: Path) -> None:
    field = draw_field(seed=79, width=1333, height=1101, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0)
    buffer = io.BytesIO()
    Image.fromarray(field.pixels).save(buffer, "PNG")
    slide = bring(client, buffer.getvalue())
    # Kept and checked; what serves stays.
    kept = client.post("/v1/registry/versions", content=_pack(adopted), headers={"Content-Type": "application/zip"})
    assert kept.status_code == 201, kept.text
    checked = client.post("/v1/registry/versions/points/1.0.0/check")
    assert checked.status_code == 200, checked.text
    # Beside the cascade that serves it repeats what is analysed, and counts for nobody.
    shadow = client.post("/v1/registry/shadows", json={"models": ["points@1.0.0"], "share": 1})
    assert shadow.status_code == 201, shadow.text
    before = _score(client, slide)
    assert [model.name for model in before.models] == ["reg-ns", "det"]
    where = shadow.headers["location"]
    until(lambda: client.get(where).json()["analyses"].get("succeeded") == 1)
    compared = client.get(f"{where}/comparison").json()
    assert (compared["first"], compared["second"]) == (["reg-ns@0.0.1", "det@0.0.1"], ["points@1.0.0"])
    assert compared["slides"] == 1
    assert client.post(f"{where}/stop").json()["state"] == "stopped"
    # It serves.
    promoted = _release(client, "/v1/registry/releases", {"models": ["points@1.0.0"]})
    assert promoted["state"] == "promoted", promoted
    found = _score(client, slide, threshold=0.5)
    assert [f"{model.name}@{model.version}" for model in found.models] == ["points@1.0.0"]
    assert found.settings.work_mpp == pytest.approx(0.5)
    assert measure_f1(found, field) >= 0.9
    assert compared["figures"]["mean_second"] == found.counts.mitotic_figures
    # And goes.
    back = _release(client, "/v1/registry/rollback")
    assert back["state"] == "promoted", back
    after = _score(client, slide, threshold=0.4)
    assert [model.name for model in after.models] == ["reg-ns", "det"]


def test_the_documented_contract_of_kongnet_is_one() -> None:
    contract = AdoptionContract.model_validate(read_documented())
    assert (contract.role, contract.window_px, contract.mpp) == ("points", 512, 0.5)
