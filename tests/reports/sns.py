"""Messages of Amazon SNS, signed with a certificate that is made here, and Amazon's server of certificates."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from actors.reports.providers import Received
from tests.reports.requests import NOW, json, request

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-events"
OTHER_TOPIC = "arn:aws:sns:eu-west-1:999999999999:mail-events"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CONFIRM = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}


@cache
def key(number: int = 0) -> rsa.RSAPrivateKey:
    """Return the private key with this number, always the same one."""
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None, days: int = 30) -> bytes:
    """Return a certificate in PEM that was valid from 30 days ago and is valid for some days from NOW."""
    private = private or key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


class Amazon:
    """What is fetched. `pages`: what each URL answers; an OSError is raised."""

    def __init__(self, pages: Mapping[str, bytes | OSError] | None = None) -> None:
        self.pages = (
            pages if pages is not None else {CERTIFICATE: certificate(), CONFIRM: b"<ConfirmSubscriptionResponse/>"}
        )
        self.fetched: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        page = self.pages.get(url, OSError("404"))
        if isinstance(page, OSError):
            raise page
        return page


def message(text: str, at: datetime = NOW, **fields: Any) -> dict[str, Any]:
    """Return a message that is not signed yet."""
    about = {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC}
    about |= {"Message": text, "Timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.123Z", "SigningCertURL": CERTIFICATE}
    return about | fields


def confirmation(**fields: Any) -> dict[str, Any]:
    words = "You have chosen to subscribe to the topic"
    return message(
        words, **{"Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": CONFIRM} | fields
    )


def signed(unsigned: dict[str, Any], version: str = "2", private: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """Sign as Amazon documents: the fields in the order of their names, each name and value on a line."""
    names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    names += ["Subject"] if "Subject" in unsigned else []
    names += ["SubscribeURL", "Token"] if unsigned["Type"] != "Notification" else []
    text = "".join(f"{name}\n{unsigned[name]}\n" for name in sorted(names))
    signature = (private or key()).sign(text.encode(), PKCS1v15(), _HASHES[version])
    return unsigned | {"SignatureVersion": version, "Signature": b64encode(signature).decode()}


def posted(values: dict[str, Any]) -> Received:
    headers = {"x-amz-sns-message-type": str(values.get("Type")), "Content-Type": "text/plain; charset=UTF-8"}
    return request(json(values), headers)
