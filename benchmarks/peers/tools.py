"""Who is measured, and with which settings."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers.measure import Tool
from benchmarks.peers.weights import NetworkFiles
from serving.core.errors import ModelError
from serving.scoring.models import model_folder
from serving.scoring.openvino_session import PRECISIONS
from serving.scoring.sessions import CPU, choose_providers

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


def list_settings(peer: str) -> list[Settings]:
    """Batch sizes and workers worth a try; WSInfer's command cannot end its work without a worker."""
    return _TRIED[peer]


def peers(
    models: NetworkFiles, script: Path, pythons: Mapping[str, Path], settings: Mapping[str, Settings]
) -> list[Tool]:
    """The other projects' tools. pythons : of each environment. settings : in place of those known to be best."""
    return [
        Tool(
            _NAMES[peer],
            python,
            f"{_RUNNERS}.with_{peer}",
            script if peer == "wsinfer" else models.torch_weights,
            settings.get(peer, _BEST[peer]),
        )
        for peer, python in pythons.items()
    ]


def ours(models: NetworkFiles, released: Path, providers: Sequence[str]) -> list[Tool]:
    """The exact form on ONNX Runtime, and the form that is released on each of the providers that this machine has."""
    stated: Settings = {"detection": str(model_folder(released, "det"))}
    here = Path(sys.executable)

    def tool(name: str, model: Path, provider: str, *, exact: bool) -> Tool:
        settings = {**stated, "provider": provider}
        return Tool(name, here, f"{_RUNNERS}.ours", model, settings, peer=False, exact=exact)

    exact = tool("Mitoserve, each window alone", models.exact, CPU, exact=True)
    return [
        exact,
        *(
            tool(f"Mitoserve, whole tiles, {name}", models.shipped, name, exact=False)
            for name in providers
            if _is_here(name)
        ),
    ]


def default_providers() -> list[str]:
    """All that run on a processor."""
    return [CPU, *PRECISIONS]


def _is_here(provider: str) -> bool:
    try:
        choose_providers([provider])
    except ModelError as error:
        print(f"without {provider}: {error}", flush=True)
        return False
    return True
