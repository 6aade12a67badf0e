import re
from pathlib import Path

import pytest

from serving.settings import ServerSettings, SettingsError
from tests.unit.serving.settings_page import DOCUMENT, page


def test_defaults_hold_without_environment() -> None:
    settings = ServerSettings.from_environment({})
    assert settings == ServerSettings()
    assert settings.max_running == 1
    assert settings.max_upload_bytes == 16 * 2**30
    assert settings.models.name in ("models", "_models")
    assert settings.state.name == "mitoserve"


def test_every_variable_is_read() -> None:
    settings = ServerSettings.from_environment(
        {
            "MITOSIS_MODELS": "/srv/models",
            "MITOSIS_STATE": "~/state",
            "MITOSIS_MAX_UPLOAD_BYTES": "1000",
            "MITOSIS_PROVIDERS": "CUDAExecutionProvider, CPUExecutionProvider",
            "MITOSIS_MAX_RUNNING": "2",
            "MITOSIS_MAX_WAITING": "0",
            "MITOSIS_UPLOAD_IDLE_S": "2.5",
            "MITOSIS_CORS_ORIGINS": "https://viewer.example,http://localhost:8080",
            "MITOSIS_DATABASE": "postgresql+psycopg://server@db.example/mitoserve",
            "MITOSIS_OIDC_ISSUER": "https://login.example/realm",
            "MITOSIS_OIDC_AUDIENCE": "lab",
            "MITOSIS_OIDC_SCOPE_CLAIM": "roles",
            "MITOSIS_REQUESTS_PER_MINUTE": "60",
            "MITOSIS_REQUESTS_AT_ONCE": "8",
            "MITOSIS_DISK_QUOTA_BYTES": "2000",
            "MITOSIS_MIN_FREE_BYTES": "3000",
            "MITOSIS_TLS_CERTIFICATE": "/srv/tls/server.pem",
            "MITOSIS_TLS_KEY": "/srv/tls/server.key",
            "MITOSIS_LOG_FORMAT": "text",
            "MITOSIS_TRACES_ENDPOINT": "http://collector.example:4318/v1/traces",
        }
    )
    assert settings == ServerSettings(
        models=Path("/srv/models"),
        state=Path.home() / "state",
        max_upload_bytes=1000,
        providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
        max_running=2,
        max_waiting=0,
        upload_idle_s=2.5,
        cors_origins=("https://viewer.example", "http://localhost:8080"),
        database="postgresql+psycopg://server@db.example/mitoserve",
        oidc_issuer="https://login.example/realm",
        oidc_audience="lab",
        oidc_scope_claim="roles",
        requests_per_minute=60,
        requests_at_once=8,
        disk_quota_bytes=2000,
        min_free_bytes=3000,
        tls_certificate=Path("/srv/tls/server.pem"),
        tls_key=Path("/srv/tls/server.key"),
        log_format="text",
        traces_endpoint="http://collector.example:4318/v1/traces",
    )


def test_an_empty_variable_leaves_the_default() -> None:
    assert ServerSettings.from_environment({"MITOSIS_MAX_RUNNING": " "}) == ServerSettings()


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
        ("MITOSIS_OIDC_ISSUER", "login.example"),
        ("MITOSIS_OIDC_ISSUER", "http://login.example"),
        ("MITOSIS_REQUESTS_PER_MINUTE", "0"),
        ("MITOSIS_LOG_FORMAT", "xml"),
        ("MITOSIS_TRACES_ENDPOINT", "collector:4318"),
        ("MITOSIS_CORS_ORIGINS", "viewer.example"),
        ("MITOSIS_CORS_ORIGINS", "https://viewer.example/page"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        ServerSettings.from_environment({variable: value})


def test_the_page_of_settings_is_written_from_them() -> None:
    assert DOCUMENT.read_text() == page(), "run `make settings`"
    assert set(re.findall(r"^\| `(MITOSIS_[A-Z0-9_]+)`", page(), re.MULTILINE)) == {
        f"MITOSIS_{name.upper()}" for name in ServerSettings.__slots__
    }
