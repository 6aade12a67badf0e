"""What an operator may set: `MITOSIS_*` environment variables, read once at start and passed down."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from serving.core.errors import MitoserveError
from serving.settingvalues import (
    Archives,
    FileNames,
    FolderPath,
    IssuerAddress,
    NamePattern,
    Names,
    Networks,
    ObjectsAddress,
    PathPrefix,
    Seconds,
    Share,
    StoreAddress,
    WebAddress,
    WebOrigins,
)

DEFAULT_CASE_PATTERN = r"^(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}|CASE[-_][A-Z0-9]+)"
"""A patient in TCGA (project, site and participant of a barcode), or a number behind the word."""

MIN_SECRET = 24
"""Characters of a signing key: fewer can be tried out (Standard Webhooks asks for 24 bytes)."""


class SettingsError(MitoserveError):
    """An environment variable holds a value that cannot be used; the message names it."""

    slug = "internal-error"


def default_models() -> Path:
    """The models inside the installed package, else those of the checkout."""
    packaged = Path(__file__).parent / "_models"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "models"


def default_state() -> Path:
    """The folder of this user for state (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mitoserve"


class ServerSettings(BaseSettings):
    """Everything that may differ from one server to the next. `ServerSettings()` holds the defaults."""

    model_config = SettingsConfigDict(
        env_prefix="MITOSIS_",
        env_ignore_empty=True,
        str_strip_whitespace=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    models: FolderPath = Field(default_factory=default_models)
    """`MITOSIS_MODELS`: folder of <name>/<version>/{model.onnx, card.json}."""

    model_store: StoreAddress | None = None
    """`MITOSIS_MODEL_STORE`: where further versions are added and read: a folder, or the address of a bucket such as
    s3://bucket/models, which needs the extra `s3`; by default the folder models in `objects`, else in `state`."""

    model_signers: FileNames = ()
    """`MITOSIS_MODEL_SIGNERS`: PEM files of Ed25519 public keys, comma-separated; a version then serves only with a card
    that one of them signed. None by default."""

    allowed_licences: Names = ()
    """`MITOSIS_ALLOWED_LICENCES`: licences of weights that may serve here, as cards state them, comma-separated, such as
    Apache-2.0,CC-BY-4.0; `unstated` stands for cards that state none, which ours do not. All by default."""

    model_window_s: Seconds = 2.0
    """`MITOSIS_MODEL_WINDOW_S`: seconds that a model may take for a window before it is refused as too slow. At 2 s a
    slide of a square centimetre, which has 100,000 sub-tiles, takes two days."""

    golden_set: FolderPath | None = None
    """`MITOSIS_GOLDEN_SET`: folder of slides, each with a GeoJSON of its mitotic figures, on which a release is compared with
    the one that serves before it takes its place (docs/models.md); none by default, and then nothing is asked."""

    gate_f1: Share = 0.02
    """`MITOSIS_GATE_F1`: how far F1 on the golden set may fall. With fewer than some 50 figures one of them moves it by as much."""

    gate_brier: Share = 0.02
    """`MITOSIS_GATE_BRIER`: how far the Brier score of its detections may rise."""

    gate_speed: Share = 0.25
    """`MITOSIS_GATE_SPEED`: by what share a mm2 of tissue may take longer; processor times of one run differ by a tenth."""

    drift_analyses: PositiveInt = 50
    """`MITOSIS_DRIFT_ANALYSES`: so many slides are compared with a reference; and the first so many are the reference
    where nobody made another and no card states one."""

    state: FolderPath = Field(default_factory=default_state)
    """`MITOSIS_STATE`: folder of what must outlive the server: slides, analyses, results, keys,
    the audit log. Back it up. Servers that share
    it share their work; see also `objects`."""

    database: str | None = None
    """`MITOSIS_DATABASE`: SQLAlchemy URL of the tables of analyses and keys, such as postgresql+psycopg://user@host/mitoserve;
    by default SQLite files in `state`, which need a local disk. Give credentials by PGPASSWORD or a service file."""

    objects: ObjectsAddress | None = None
    """`MITOSIS_OBJECTS`: where slides, results and checkpoints are kept instead of in `state`, so that several servers with one
    database share them: a folder, or the address of a bucket such as s3://bucket/mitoserve, which needs the extra `s3`. Then
    `state` holds copies and what is under way, and can be lost."""

    cache_bytes: NonNegativeInt = 0
    """`MITOSIS_CACHE_BYTES`: bytes of copies of slides and results on this server's disk, with `objects`; beyond it those
    unused for longest go, but none in use. 0: as many as leave `min_free_bytes`."""

    slide_root: FolderPath | None = None
    """`MITOSIS_SLIDE_ROOT`: folder of slides that are analysed where they lie and never changed; none by default."""

    case_pattern: NamePattern = DEFAULT_CASE_PATTERN
    """`MITOSIS_CASE_PATTERN`: regular expression that finds the case in the name of a slide that arrives, its first group or all
    that it matches, whatever the letters' case. By default barcodes of TCGA and names that begin with CASE- or CASE_.
    `(?!)` finds none."""

    max_upload_bytes: PositiveInt = 16 * 2**30
    """`MITOSIS_MAX_UPLOAD_BYTES`: bytes of one slide. 16 GiB holds every slide of an x40 scanner with one focus plane."""

    min_free_bytes: NonNegativeInt = 2**30
    """`MITOSIS_MIN_FREE_BYTES`: room on the disk of `state` that uploads leave free, so that analyses can always write
    their results; below it the server calls itself not ready."""

    disk_budget_bytes: NonNegativeInt = 0
    """`MITOSIS_DISK_BUDGET_BYTES`: bytes of slides to keep; beyond it those unused for longest are deleted, but none that
    an analysis waits for. 0: as many as the disk holds."""

    keep_slides_s: Seconds = 30 * 86400.0
    """`MITOSIS_KEEP_SLIDES_S`: seconds that a slide is kept after its last use; a study is looked at for weeks."""

    keep_analyses_s: Seconds = 365 * 86400.0
    """`MITOSIS_KEEP_ANALYSES_S`: seconds that a finished analysis and its result are kept; they are small."""

    keep_tiles: Literal["on", "off"] = "on"
    """`MITOSIS_KEEP_TILES`: on or off: whether what models found in a slide's tiles is kept for its next analysis, as long as the
    slide is."""

    upload_expires_s: Seconds = 86400.0
    """`MITOSIS_UPLOAD_EXPIRES_S`: seconds until a resumable upload to which nothing was added is given up."""

    lease_s: Seconds = 15.0
    """`MITOSIS_LEASE_S`: seconds without a sign of life until another worker takes over an analysis. It must be longer
    than the longest pause of a worker that lives: a disk that stalls, a machine that swaps."""

    decoder_memory_bytes: PositiveInt = 4 * 2**30
    """`MITOSIS_DECODER_MEMORY_BYTES`: memory of one process that decodes slides. The largest picture that may be decoded
    whole has half a GB of RGB and needs three such."""

    decoders_memory_bytes: NonNegativeInt = 0
    """`MITOSIS_DECODERS_MEMORY_BYTES`: memory of all processes together that decode slides for servers with this `state`, and of
    all that do so for cohorts on a machine; who needs more waits. 0: half of the machine's memory, or of the cgroup's."""

    decoder_cpu_s: PositiveInt = 120
    """`MITOSIS_DECODER_CPU_S`: processor seconds of one read of a slide, or of opening one. A patch takes 0.03."""

    decoder_user: str | None = None
    """`MITOSIS_DECODER_USER`: user, by name or number, whom processes that decode slides run as; by default the server's own.
    For a server that root starts, with a umask of 022. Mounted slides must be readable for that user."""

    webhook_hosts: Names = ()
    """`MITOSIS_WEBHOOK_HOSTS`: host or host:port, comma-separated, to which finished analyses may be reported. None by
    default: a server that calls any address that it is told reaches what its callers cannot."""

    webhook_secret: str = Field(default="", repr=False)
    """`MITOSIS_WEBHOOK_SECRET`: key of the signatures of webhooks (Standard Webhooks), at least 24 characters; needed
    with `webhook_hosts`."""

    send_to: Names = ()
    """`MITOSIS_SEND_TO`: where every result is sent, see `send_when`, comma-separated: folders, addresses in a bucket (s3://, with
    the extra `s3`), DICOMweb services (dicomweb+https://), which get DICOM alone; none by default. What does not arrive is sent again until it does."""

    send_formats: Names = ("report",)
    """`MITOSIS_SEND_FORMATS`: the formats in which results are sent, comma-separated, as `mitoserve export --to` names them."""

    send_when: Literal["scored", "signed"] = "scored"
    """`MITOSIS_SEND_WHEN`: `scored`, as the models gave it, when the analysis has succeeded; or `signed`, as it was signed after review, with each
    signature. Formats that cannot state a review are then refused."""

    providers: Names | None = None
    """`MITOSIS_PROVIDERS`: ONNX Runtime execution providers in order of preference, comma-separated; or CPU-int8,
    which needs the extra `int8`; or OpenVINO or OpenVINO-bf16, which need the extra `openvino`; or CUDA-fp16, which needs the extra `gpu`; None chooses one that computes in float32."""

    scratch: FolderPath | None = None
    """`MITOSIS_SCRATCH`: folder for slides that a worker of a cohort fetches, one and the next; by default the system's for
    temporary files. It needs room for two slides a worker."""

    dicomweb_token: str = Field(default="", repr=False)
    """`MITOSIS_DICOMWEB_TOKEN`: bearer token that workers of a cohort and `mitoserve send` show to the archives in `dicomweb_hosts`; none by
    default."""

    dicomweb_hosts: Names = ()
    """`MITOSIS_DICOMWEB_HOSTS`: host or host:port, comma-separated, of DICOMweb archives that get the token, by https; none by
    default: a manifest names any address, and whoever wrote it must not be sent the token."""

    dicomweb_archives: Archives = ()
    """`MITOSIS_DICOMWEB_ARCHIVES`: archives from which this server fetches slides on request, name=address between commas, such as
    pacs=https://pacs.example/dicom-web; none by default. Callers state the name and UIDs, never an address. `dicomweb_hosts` says which get
    the token."""

    max_running: PositiveInt = 1
    """`MITOSIS_MAX_RUNNING`: analyses at once. One already keeps all cores or the GPU busy; two share the same memory."""

    max_waiting: NonNegativeInt = 4
    """`MITOSIS_MAX_WAITING`: further requests that may upload and wait their turn; more are refused with 503, because a
    client that waits behind many slides cannot tell a long line from a dead server."""

    upload_idle_s: Seconds = 60.0
    """`MITOSIS_UPLOAD_IDLE_S`: seconds in which an upload has to send 16 KiB or end, before it is given up."""

    cors_origins: WebOrigins = ()
    """`MITOSIS_CORS_ORIGINS`: web origins, comma-separated, whose pages may call this server; none by default."""

    trusted_proxies: Networks = ()
    """`MITOSIS_TRUSTED_PROXIES`: addresses or networks, comma-separated, of proxies whose X-Forwarded-For, -Proto, -Host and
    -Prefix are believed; none by default. They must set each of these themselves, or pass on what a client claims."""

    root_path: PathPrefix = ""
    """`MITOSIS_ROOT_PATH`: path prefix under which a proxy offers this server, such as /mitoserve, where it does not state it as
    X-Forwarded-Prefix; none by default."""

    oidc_issuer: IssuerAddress | None = None
    """`MITOSIS_OIDC_ISSUER`: address of an OpenID Connect provider whose bearer tokens are taken; none by default."""

    oidc_audience: str = "mitoserve"
    """`MITOSIS_OIDC_AUDIENCE`: the `aud` that a token must state."""

    oidc_scope_claim: str = "scope"
    """`MITOSIS_OIDC_SCOPE_CLAIM`: claim that holds `mitoserve:read`, `mitoserve:score` or `mitoserve:admin`; some
    providers name it `scp` or `roles`."""

    oidc_client_id: str | None = None
    """`MITOSIS_OIDC_CLIENT_ID`: id under which the provider knows this server's viewer, a public client with PKCE; with it people
    log in on the page. None by default: then they show keys."""

    oidc_login_scope: str = "openid mitoserve:read mitoserve:score"
    """`MITOSIS_OIDC_LOGIN_SCOPE`: what the viewer asks the provider for, with spaces; `offline_access` where it gives no refresh token
    without."""

    loopback_without_key: Literal["on", "off"] = "off"
    """`MITOSIS_LOOPBACK_WITHOUT_KEY`: on or off: whether a server without keys and without an identity provider lets in every
    request that comes over loopback, to a loopback name, with no proxy's header and from no web page of another site. A proxy
    on this machine that adds no header then opens the server to all whom it serves, so it is for a machine without one."""

    requests_per_minute: PositiveInt = 600
    """`MITOSIS_REQUESTS_PER_MINUTE`: of a caller with a token, and of a key that states no rate of its own."""

    requests_at_once: PositiveInt = 256
    """`MITOSIS_REQUESTS_AT_ONCE`: requests of one caller under way at the same time, uploads and event streams too."""

    disk_quota_bytes: NonNegativeInt | None = None
    """`MITOSIS_DISK_QUOTA_BYTES`: bytes of slides that a caller with a token, or with a key that states no quota of its
    own, may keep; None: as many as fit."""

    tls_certificate: FolderPath | None = None
    """`MITOSIS_TLS_CERTIFICATE`: PEM file with the server's certificate and those between it and the root."""

    tls_key: FolderPath | None = None
    """`MITOSIS_TLS_KEY`: PEM file with the certificate's private key."""

    log_format: Literal["json", "text"] = "json"
    """`MITOSIS_LOG_FORMAT`: `json`, an object a line, or `text` for people."""

    traces_endpoint: WebAddress | None = None
    """`MITOSIS_TRACES_ENDPOINT`: address that takes OpenTelemetry traces over OTLP/HTTP, such as
    http://localhost:4318/v1/traces; none by default, and then nothing is traced."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("MITOSIS_TLS_CERTIFICATE and MITOSIS_TLS_KEY go together; set both or neither")
        if self.oidc_client_id is not None and self.oidc_issuer is None:
            raise ValueError("MITOSIS_OIDC_CLIENT_ID is of a provider; set MITOSIS_OIDC_ISSUER, too")
        if self.webhook_hosts and len(self.webhook_secret) < MIN_SECRET:
            raise ValueError(f"MITOSIS_WEBHOOK_HOSTS needs MITOSIS_WEBHOOK_SECRET of at least {MIN_SECRET} characters")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is not given has its default: only `from_environment` reads the environment."""
        return (init_settings,)

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that this process's environment states; an absent or blank variable leaves the default.

        Raises
        ------
        SettingsError
            If a variable holds a value that cannot be used, or lacks the one that goes with it.
        """
        stated = {name: text for name, text in EnvSettingsSource(cls)().items() if text.strip()}
        try:
            return cls(**stated)
        except ValidationError as error:
            raise SettingsError("; ".join(_describe(problem, stated) for problem in error.errors())) from error

    def environment(self) -> dict[str, str]:
        """The variables that state these settings, for a process that this one starts."""
        return {
            _variable(name): ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in self
            if value is not None
        }


def _variable(name: str) -> str:
    return f"MITOSIS_{name.upper()}"


def _describe(problem: Mapping[str, Any], stated: Mapping[str, str]) -> str:
    """What is wrong with the environment, in one line."""
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return reason
    name = str(problem["loc"][0])
    return f"{_variable(name)}={stated[name]!r} cannot be used: {reason}"
