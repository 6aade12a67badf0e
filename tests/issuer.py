"""An OpenID Connect provider on loopback: a discovery document, its keys, and tokens signed with them."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "mitoserve"
CLIENT = "mitoserve-viewer"
"""The id of a page that people log in on."""


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key pair, the same for the same name; making one takes most of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Signs tokens; `requests` lists what was asked of it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[str] = []
        self.reachable = True
        self._key, self.key_id = rsa_key("first"), "first"
        self.codes: dict[str, dict[str, str]] = {}
        """What each code that was given and not used stands for."""
        self.lasts_s = 300
        """Of tokens that people get."""

    def authorize(self, asked: dict[str, str], name: str) -> str:
        """Where the browser of a person who has logged in goes back to (RFC 6749, 4.1.2)."""
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "name": name}
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: dict[str, str]) -> dict[str, object] | None:
        """The tokens of a code, once, for who knows the verifier of its challenge (RFC 7636, 4.6), or of a renewal."""
        if form["grant_type"] == "refresh_token":
            name = form["refresh_token"].removeprefix("renews-")
            return self._give(name) if form["client_id"] == CLIENT else None
        asked = self.codes.pop(form["code"], None)
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != digest:
            return None
        if any(asked[name] != form[name] for name in ("client_id", "redirect_uri")) or form["client_id"] != CLIENT:
            return None
        return self._give(asked["name"])

    def _give(self, name: str) -> dict[str, object]:
        now = int(time.time())
        access = self.token(sub=name, name=name, exp=now + self.lasts_s, scope="openid mitoserve:read mitoserve:score")
        return {"access_token": access, "expires_in": self.lasts_s, "refresh_token": f"renews-{name}"}

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is published no longer."""
        self._key, self.key_id = rsa_key("second"), "second"

    def token(self, *, algorithm: str = "RS256", key: Any = None, **claims: object) -> str:
        """A token that holds, but for the claims that are given; None removes one."""
        now = int(time.time())
        stated: dict[str, object] = {
            "iss": self.address,
            "aud": AUDIENCE,
            "sub": "user-1",
            "iat": now,
            "exp": now + 300,
            "scope": "openid mitoserve:read",
            **claims,
        }
        kept = {name: value for name, value in stated.items() if value is not None}
        signing_key = self._key if key is None else key
        return jwt.encode(kept, signing_key, algorithm=algorithm, headers={"kid": self.key_id})

    def document(self, path: str) -> dict[str, object] | None:
        """What the provider answers at `path`; None where there is nothing."""
        self.requests.append(path)
        if path == "/.well-known/openid-configuration":
            pages = {f"{n}_endpoint": f"{self.address}/{n}" for n in ("authorization", "token", "end_session")}
            return {"issuer": self.address, "jwks_uri": f"{self.address}/keys", **pages}
        if path == "/keys":
            public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
            return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}
        return None


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """A provider that answers on a port of its own until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = urlsplit(self.path)
            if place.path in ("/authorization", "/end_session"):
                self._show(place)
                return
            document = issuer.document(self.path) if issuer.reachable else None
            self.send_response(200 if document else 503)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def _show(self, place: SplitResult) -> None:
            asked = dict(parse_qsl(place.query))
            if "name" in asked:
                self.send_response(302)
                self.send_header("Location", issuer.authorize(asked, asked["name"]))
                self.end_headers()
                return
            hidden = "".join(f'<input type="hidden" name="{n}" value="{escape(v)}">' for n, v in asked.items())
            page = f'<form>{hidden}<label>Name <input name="name"></label><button>Log in</button></form>'
            out = "<p>You are logged out.</p>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((page if place.path == "/authorization" else out).encode())

        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            tokens = issuer.exchange(form) if self.path == "/token" else None
            self.send_response(200 if tokens else 400)
            self.end_headers()
            self.wfile.write(json.dumps(tokens or {"error": "invalid_grant"}).encode())

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
