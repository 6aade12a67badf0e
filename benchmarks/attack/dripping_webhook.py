"""A webhook receiver that sends a header now and then for ever, beside one that answers."""

import socket
import threading
import time
from contextlib import suppress

from benchmarks.attack.environment import AttackEnvironment, AttackTally, upload_slide

MESSAGES = 10


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """What goes to the receiver that answers must arrive."""
    taken: list[bytes] = []

    def serve(listener: socket.socket, drips: bool) -> None:
        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                taken.append(b"" if drips else connection.recv(65536))
                connection.sendall(b"HTTP/1.1 204 No Content\r\n")
                while drips:
                    time.sleep(0.5)  # the fault itself: bytes that come slowly
                    connection.sendall(b"x-drip: 1\r\n")
                connection.sendall(b"\r\n")

        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    for listener, drips in zip(listeners, (True, False), strict=True):
        threading.Thread(target=serve, args=(listener, drips), daemon=True).start()
    hosts = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    server = environment.server(webhook_hosts=",".join(hosts), webhook_secret="s" * 24)
    slide = upload_slide(server, environment.picture())
    for number in range(MESSAGES):
        for host in hosts:
            asked = {"slide": slide, "options": {"mpp": 0.25, "threshold": 0.1 + number / 100}}
            answer = server.client.post("/v1/analyses", json={**asked, "webhook": {"url": f"http://{host}/told"}})
            tally.judge(answer.status_code == 202, f"not accepted: {answer.text[:100]}")
    server.wait_until(lambda: len([one for one in taken if one]) >= MESSAGES, 60)
    tally.judge(True, "")
    server.stop()
    for listener in listeners:
        listener.close()
