"""Tokens with made-up key ids while the identity provider is slow, and tokens that are forged."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.attack.environment import AttackEnvironment, AttackTally
from tests.clients import bearer
from tests.issuer import Issuer, rsa_key, running_issuer

MADE_UP, SLOW_S, ANSWER_S = 30, 8.0, 6.0


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """None comes in, and who has a good token is not held up."""
    with running_issuer() as issuer:
        server = environment.server(oidc_issuer=issuer.address, loopback_without_key="off")
        good = issuer.token()

        def status(token: str) -> int:
            return httpx.get(f"{server.client.base_url}/v1/slides", headers=bearer(token), timeout=120).status_code

        tally.judge(status(good) == 200, "a good token is refused")
        for what, token in _forged(issuer, good).items():
            tally.judge(status(token) in (401, 403, 429), f"{what} comes in")
        answer = issuer.document

        def slow(path: str) -> dict[str, object] | None:
            time.sleep(SLOW_S)  # the fault itself
            return answer(path)

        issuer.document = slow  # type: ignore[method-assign]
        made_up = []
        for number in range(MADE_UP):
            issuer.key_id = f"made-up-{number}"
            made_up.append(issuer.token())
        with ThreadPoolExecutor(MADE_UP) as pool:
            held = [pool.submit(status, token) for token in made_up]
            for _ in range(5):
                started = time.monotonic()
                found = status(good)
                seconds = time.monotonic() - started
                tally.judge(
                    found == 200 and seconds < ANSWER_S, f"a good token meanwhile: {found} after {seconds:.1f} s"
                )
            for answered in held:
                tally.judge(answered.result() in (401, 429, 503), f"a made-up key: {answered.result()}")
        issuer.document = answer  # type: ignore[method-assign]
        server.stop()


def _forged(issuer: Issuer, good: str) -> dict[str, str]:
    head, body, signature = good.split(".")
    return {
        "another key's signature": issuer.token(key=rsa_key("other")),
        "no signature": f"{head}.{body}.",
        "half a signature": f"{head}.{body}.{signature[: len(signature) // 2]}",
        "an old token": issuer.token(exp=int(time.time()) - 600),
        "a token for another audience": issuer.token(aud="another"),
        "a token of another issuer": issuer.token(iss="http://127.0.0.1:1"),
    }
