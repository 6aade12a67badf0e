"""An OpenID Connect provider on loopback: a discovery document, its keys, and tokens signed with them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "mitoserve"


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
            return {"issuer": self.address, "jwks_uri": f"{self.address}/keys"}
        if path == "/keys":
            public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
            return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}
        return None


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """A provider that answers on a port of its own until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuer.document(self.path) if issuer.reachable else None
            self.send_response(200 if document else 503)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

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
