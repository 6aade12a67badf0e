"""What findings depend on besides the model: where it runs, by what, and what is asked of it."""

import hashlib
import json
import platform
from pathlib import Path

import onnxruntime

from serving import __version__
from serving.settings import ServerSettings


def machine_hash(settings: ServerSettings) -> str:
    """Hash of this machine, its runtime and what `settings` ask of models."""
    signers = [
        [path, hashlib.sha256(Path(path).read_bytes()).hexdigest()]
        for path in settings.model_signers
        if Path(path).is_file()
    ]
    runtime = [onnxruntime.__version__, onnxruntime.get_available_providers(), settings.providers, __version__]
    stated = [platform.node(), platform.processor(), runtime, settings.model_window_s, settings.model_signers, signers]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()
