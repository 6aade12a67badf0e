import pytest

from serving.jobs.errors import WebhookError
from serving.jobs.webhooks import check_webhook, sign
from serving.settings import ServerSettings

SETTINGS = ServerSettings(webhook_hosts=("lims.example", "10.0.0.5:8080"), webhook_secret="x" * 24)


@pytest.mark.parametrize(
    "url",
    ["https://lims.example/hook?a=b", "http://lims.example:9999/", "http://LIMS.example/", "http://10.0.0.5:8080/x"],
)
def test_named_hosts_may_be_called(url: str) -> None:
    assert check_webhook(url, SETTINGS) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5/", "http://10.0.0.5:80/", "http://169.254.169.254/latest", "http://localhost/", "http://[::1]/",
        "ftp://lims.example/", "file:///etc/passwd", "//lims.example/", "lims.example", "http://lims.example@evil.example/",
        "http://user:pass@lims.example/", "http://lims.example.evil.example/", "http://lims.example:port/", "http://[/", "",
    ],
)  # fmt: skip
def test_no_other_address_is_called(url: str) -> None:
    with pytest.raises(WebhookError):
        check_webhook(url, SETTINGS)
    with pytest.raises(WebhookError, match=r"may not call|needs an http|does not parse"):
        check_webhook(url, ServerSettings())


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification's libraries, whose key is base64 behind `whsec_`."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
