"""`/v1/login`: how a browser logs in, and the exchange of what the identity provider gave it for a token."""

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.api.problems import NoSuchPageError, responses
from serving.api.services import ServingLogin


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoginProviderView(_Part):
    """What a browser goes to the identity provider with (RFC 6749, 4.1.1; RFC 7636: S256)."""

    authorization_endpoint: str
    end_session_endpoint: str | None = Field(description="Where one logs out of the provider, too.")
    client_id: str
    scope: str


class LoginView(_Part):
    """How people may log in here."""

    provider: LoginProviderView | None = Field(description="Null where there is none: then keys alone open.")


class CodeRequest(_Part):
    """What the provider sent the browser back with, and the secret that only this browser knows."""

    code: str = Field(min_length=1, max_length=4000)
    code_verifier: str = Field(min_length=43, max_length=128, pattern=r"^[A-Za-z0-9._~-]+$")
    redirect_uri: str = Field(max_length=2000)


class RenewalRequest(_Part):
    """What renews a token."""

    refresh_token: str = Field(min_length=1, max_length=8000)


class TokenView(_Part):
    """A token, which is sent as a key is."""

    access_token: str
    expires_in: int | None = Field(description="Seconds; null where the provider does not say.")
    refresh_token: str | None


router = APIRouter(tags=["server"])


@router.get("/v1/login", summary="How can one log in?", responses=responses("identity-provider-unavailable"))
async def login(provider: ServingLogin) -> LoginView:
    """The identity provider's page, where this server has one for browsers."""
    if provider is None:
        return LoginView(provider=None)
    found = await run_sync(provider.addresses)
    return LoginView(
        provider=LoginProviderView(
            authorization_endpoint=found.authorization,
            end_session_endpoint=found.end_session,
            client_id=provider.client_id,
            scope=provider.scope,
        )
    )


@router.post(
    "/v1/login/token",
    summary="Finish or renew a log-in",
    response_model=TokenView,
    responses=responses(
        "malformed-request", "unauthenticated", "not-found", "too-many-requests", "identity-provider-unavailable"
    ),
)
async def exchange(
    provider: ServingLogin, request: Request, wanted: Annotated[CodeRequest | RenewalRequest, Body()]
) -> Response:
    """Passes the exchange on to the identity provider; nothing of it is kept here."""
    if provider is None:
        raise NoSuchPageError("this server has no identity provider for browsers; show a key")
    grant = "authorization_code" if isinstance(wanted, CodeRequest) else "refresh_token"
    stated = {"grant_type": grant, **wanted.model_dump()}
    caller = request.client.host if request.client else ""
    tokens = await run_sync(lambda: provider.exchange(stated, caller=caller))
    view = TokenView(access_token=tokens.access, expires_in=tokens.expires_in, refresh_token=tokens.renewal)
    return JSONResponse(view.model_dump(), headers={"Cache-Control": "no-store"})
