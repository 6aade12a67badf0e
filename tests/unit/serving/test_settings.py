from pathlib import Path

import pytest

from serving.settings import Settings, SettingsError


def test_defaults_hold_without_environment() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.max_running == 1
    assert settings.max_upload_bytes == 16 * 2**30
    assert settings.models.name in ("models", "_models")
    assert settings.state.name == "mitoserve"


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "MITOSIS_MODELS": "/srv/models",
            "MITOSIS_STATE": "~/state",
            "MITOSIS_MAX_UPLOAD_BYTES": "1000",
            "MITOSIS_PROVIDERS": "CUDAExecutionProvider, CPUExecutionProvider",
            "MITOSIS_MAX_RUNNING": "2",
            "MITOSIS_MAX_WAITING": "0",
            "MITOSIS_UPLOAD_IDLE_S": "2.5",
            "MITOSIS_CORS_ORIGINS": "https://viewer.example,http://localhost:8080",
        }
    )
    assert settings == Settings(
        models=Path("/srv/models"),
        state=Path.home() / "state",
        max_upload_bytes=1000,
        providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
        max_running=2,
        max_waiting=0,
        upload_idle_s=2.5,
        cors_origins=("https://viewer.example", "http://localhost:8080"),
    )


def test_an_empty_variable_leaves_the_default() -> None:
    assert Settings.from_environment({"MITOSIS_MAX_RUNNING": " "}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MITOSIS_MAX_UPLOAD_BYTES", "16GiB"),
        ("MITOSIS_MAX_UPLOAD_BYTES", "0"),
        ("MITOSIS_MAX_RUNNING", "0"),
        ("MITOSIS_MAX_RUNNING", "1.5"),
        ("MITOSIS_MAX_WAITING", "-1"),
        ("MITOSIS_UPLOAD_IDLE_S", "nan"),
        ("MITOSIS_UPLOAD_IDLE_S", "0"),
        ("MITOSIS_UPLOAD_IDLE_S", "soon"),
        ("MITOSIS_PROVIDERS", "CPUExecutionProvider,,"),
        ("MITOSIS_CORS_ORIGINS", "*"),
        ("MITOSIS_CORS_ORIGINS", "viewer.example"),
        ("MITOSIS_CORS_ORIGINS", "https://viewer.example/page"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment({variable: value})
