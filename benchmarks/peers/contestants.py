"""Who is measured, and with which settings."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers.measure import Contestant
from benchmarks.peers.weights import Models
from serving.scoring.models import model_folder
from serving.scoring.onnx_detector import CPU, chosen_providers
from serving.scoring.openvino_session import PRECISIONS
from serving.wsi.errors import ModelError

Settings = dict[str, object]

_RUNNERS = "benchmarks.peers.runners"
_NAMES = {"wsinfer": "WSInfer", "tiatoolbox": "TIAToolbox", "lazyslide": "LazySlide"}
_TRIED: dict[str, list[Settings]] = {
    "wsinfer": [
        {"backend": backend, "batch": batch, "workers": workers, "speedup": speedup}
        for backend, batch, workers, speedup in (
            ("openslide", 16, 1, True),
            ("openslide", 16, 1, False),
            ("openslide", 32, 1, True),
            ("tiffslide", 16, 1, True),
        )
    ],
    **{
        peer: [{"batch": batch, "workers": workers} for batch, workers in ((16, 1), (32, 1), (16, 0))]
        for peer in ("tiatoolbox", "lazyslide")
    },
}
_BEST = {
    "wsinfer": _TRIED["wsinfer"][2],
    "tiatoolbox": _TRIED["tiatoolbox"][2],
    "lazyslide": _TRIED["lazyslide"][1],
}
"""With which each was fastest on the machine of docs/speed.md."""


def tried(peer: str) -> list[Settings]:
    """Batch sizes and workers worth a try; WSInfer's command cannot end its work without a worker."""
    return _TRIED[peer]


def peers(
    models: Models, script: Path, pythons: Mapping[str, Path], settings: Mapping[str, Settings]
) -> list[Contestant]:
    """The other projects' tools. pythons : of each environment. settings : in place of those known to be best"""
    return [
        Contestant(
            _NAMES[peer],
            python,
            f"{_RUNNERS}.with_{peer}",
            script if peer == "wsinfer" else models.torch_weights,
            settings.get(peer, _BEST[peer]),
        )
        for peer, python in pythons.items()
    ]


def ours(models: Models, released: Path, providers: Sequence[str]) -> list[Contestant]:
    """The exact form on ONNX Runtime, and the form that is released on each of the providers that this machine has."""
    stated: Settings = {"detection": str(model_folder(released, "det"))}
    here = Path(sys.executable)

    def contestant(name: str, model: Path, provider: str, *, exact: bool) -> Contestant:
        settings = {**stated, "provider": provider}
        return Contestant(name, here, f"{_RUNNERS}.ours", model, settings, peer=False, exact=exact)

    exact = contestant("Mitoserve, each window alone", models.exact, CPU, exact=True)
    return [
        exact,
        *(
            contestant(f"Mitoserve, whole tiles, {name}", models.shipped, name, exact=False)
            for name in providers
            if _is_here(name)
        ),
    ]


def default_providers() -> list[str]:
    """All that run on a processor."""
    return [CPU, *PRECISIONS]


def _is_here(provider: str) -> bool:
    try:
        chosen_providers([provider])
    except ModelError as error:
        print(f"without {provider}: {error}", flush=True)
        return False
    return True
