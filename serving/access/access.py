"""Everything that access rests on, opened from the settings."""

from dataclasses import dataclass

from serving.access.audit import AuditLog
from serving.access.authenticator import Authenticator
from serving.access.keys import KeyStore
from serving.access.oidc import Provider, TokenVerifier
from serving.access.projects import ProjectStore
from serving.settings import ServerSettings
from serving.store.database import open_database


@dataclass(frozen=True, slots=True)
class AccessControl:
    """The keys, the audit log and the door of one server."""

    keys: KeyStore
    audit: AuditLog
    door: Authenticator
    projects: ProjectStore


def open_access(settings: ServerSettings) -> AccessControl:
    """The access that `settings` describe; makes the database where there is none.

    Raises
    ------
    SettingsError
        If the database cannot be opened.
    """
    database = open_database(settings)
    keys = KeyStore(database)
    return AccessControl(
        keys, AuditLog(database), Authenticator(keys, _tokens(settings), settings), ProjectStore(database)
    )


def _tokens(settings: ServerSettings) -> TokenVerifier | None:
    if settings.oidc_issuer is None:
        return None
    return TokenVerifier(
        Provider(
            settings.oidc_issuer,
            settings.oidc_audience,
            settings.oidc_scope_claim,
            requests_per_minute=settings.requests_per_minute,
            disk_quota_bytes=settings.disk_quota_bytes,
        )
    )
