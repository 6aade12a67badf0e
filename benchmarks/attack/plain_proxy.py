"""The real nginx with `proxy_pass` and little else in front of a server without keys."""

import httpx
import pytest

from benchmarks.attack.environment import AttackEnvironment, AttackTally
from serving.access.local_key import local_key
from serving.settings import ServerSettings
from tests.clients import bearer
from tests.nginx import plain_proxy, program

PROXIES = {
    "proxy_pass alone": "",
    "the client's Host": "proxy_set_header Host $http_host;",
    "a local Host": "proxy_set_header Host localhost;",
    "headers taken away": 'proxy_set_header X-Forwarded-For ""; proxy_set_header Origin ""; proxy_set_header Via "";',
}
CLAIMS = ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "localhost"}, {"X-Real-IP": "127.0.0.1"})


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """Nobody comes in without the key of the machine, which still opens the server."""
    try:
        program()
    except pytest.skip.Exception as reason:
        tally.skipped = str(reason)
        return
    server = environment.server(loopback_without_key="off")
    key = bearer(local_key(ServerSettings(state=server.state)))
    for number, (what, more) in enumerate(PROXIES.items()):
        with plain_proxy(environment.folder / f"nginx-{number}", server.port, more=more) as address:
            for path in ("/v1/slides", "/v1/analyses", "/v1/registry/versions"):
                for claim in CLAIMS:
                    status = httpx.get(address + path, headers=claim, timeout=60).status_code
                    tally.judge(status in (401, 429), f"{what}, {path}, {claim}: {status}")
            sent = httpx.post(f"{address}/v1/slides?filename=a.png", content=environment.picture(), timeout=60)
            tally.judge(sent.status_code in (401, 429), f"{what}: a slide was taken, {sent.status_code}")
    tally.judge(
        httpx.get(f"{server.client.base_url}/v1/slides", headers=key).status_code == 200, "its own key is refused"
    )
    server.stop()
