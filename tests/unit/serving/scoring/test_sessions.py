"""Sessions on a processor share the memory of their activations, and are opened two at a time."""

import threading
from functools import partial
from pathlib import Path

import onnxruntime
import pytest

from serving.core.errors import ModelError
from serving.scoring import sessions
from serving.scoring.sessions import CPU, TENSORRT, open_session, open_together
from tests.fakes import make_cards
from tests.limits import LONGEST_S
from tests.quick_models import darkest_place, quick_screening, write_quick_model


def test_sessions_on_a_processor_share_one_place_in_memory(tmp_path: Path) -> None:
    for card, graph in zip(make_cards(), (quick_screening(60.0), darkest_place()), strict=True):
        write_quick_model(tmp_path, card, graph)
        opened = open_session(tmp_path / card.name / card.version, card, [CPU])
        assert isinstance(opened, onnxruntime.InferenceSession)
        assert opened.get_session_options().get_session_config_entry("session.use_env_allocators") == "1"


def test_models_are_opened_two_at_a_time_and_given_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "cores", lambda: 2)
    both = threading.Barrier(2, timeout=LONGEST_S)

    def meet(name: str) -> str:
        both.wait()  # breaks where the other is not being opened meanwhile
        return name

    assert open_together([partial(meet, "reg-ns"), partial(meet, "det")], [CPU]) == ["reg-ns", "det"]


@pytest.mark.parametrize("provider", ["CUDA-fp16", "CUDAExecutionProvider", TENSORRT])
def test_on_a_gpu_one_is_opened_after_the_other(provider: str) -> None:
    threads = open_together([threading.get_ident] * 3, [provider])
    assert set(threads) == {threading.get_ident()}


def test_the_first_that_does_not_open_says_why() -> None:
    def refuse(name: str) -> str:
        raise ModelError(name)

    with pytest.raises(ModelError, match=r"^det$"):
        open_together([partial(str, "reg-ns"), partial(refuse, "det"), partial(refuse, "verifier")], [CPU])
