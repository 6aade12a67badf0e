import re
from pathlib import Path

import pytest

from serving.settings import ServerSettings, SettingsError
from tests.unit.serving.settings_page import DOCUMENT, page


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerSettings.model_fields:
        monkeypatch.delenv(f"MITOSIS_{name.upper()}", raising=False)


def test_defaults_hold_without_environment() -> None:
    settings = ServerSettings.from_environment()
    assert settings == ServerSettings()
    assert settings.max_running == 1
    assert settings.max_upload_bytes == 16 * 2**30
    assert settings.models.name in ("models", "_models")
    assert settings.state.name == "mitoserve"


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = {
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
    for variable, value in stated.items():
        monkeypatch.setenv(variable, value)
    settings = ServerSettings.from_environment()
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


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    monkeypatch.setenv("MITOSIS_MAX_RUNNING", blank)
    monkeypatch.setenv("MITOSIS_WEBHOOK_HOSTS", blank)
    assert ServerSettings.from_environment() == ServerSettings()


def test_only_the_function_that_says_so_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_MAX_RUNNING", "7")
    assert ServerSettings().max_running == 1


def test_a_started_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServerSettings(
        max_running=3, providers=("CPU-int8",), webhook_hosts=("a", "b:1"), webhook_secret="s" * 24
    )
    for variable, value in settings.environment().items():
        monkeypatch.setenv(variable, value)
    assert ServerSettings.from_environment() == settings


@pytest.mark.parametrize(
    ("stated", "needed"),
    [({"TLS_CERTIFICATE": "/a.pem"}, "MITOSIS_TLS_KEY"), ({"WEBHOOK_HOSTS": "lims.example"}, "MITOSIS_WEBHOOK_SECRET")],
)
def test_settings_that_go_together_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, stated: dict[str, str], needed: str
) -> None:
    for name, value in stated.items():
        monkeypatch.setenv(f"MITOSIS_{name}", value)
    with pytest.raises(SettingsError, match=needed):
        ServerSettings.from_environment()


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
        ("MITOSIS_KEEP_TILES", "maybe"),
        ("MITOSIS_TRACES_ENDPOINT", "collector:4318"),
        ("MITOSIS_CORS_ORIGINS", "viewer.example"),
        ("MITOSIS_CORS_ORIGINS", "https://viewer.example/page"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}={value!r} cannot be used: ".replace("*", r"\*")):
        ServerSettings.from_environment()


def test_the_page_of_settings_is_written_from_them() -> None:
    assert DOCUMENT.read_text() == page(), "run `make settings`"
    assert set(re.findall(r"^\| `(MITOSIS_[A-Z0-9_]+)`", page(), re.MULTILINE)) == {
        f"MITOSIS_{name.upper()}" for name in ServerSettings.model_fields
    }
