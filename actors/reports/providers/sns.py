"""Messages of Amazon SNS: signed by Amazon, from topics that are allowed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from actors.reports.providers import proof
from actors.reports.providers.fields import Fields, document
from actors.reports.providers.received import Forged, Malformed, Received, Unavailable
from actors.reports.providers.sns_certificates import Fetch, SnsCertificates, amazon_url

LIMIT = 1_000_000  # bytes; a message has at most 256 kB, and grows as text within JSON
OLDEST = timedelta(hours=2)  # SNS repeats a message for an hour at most
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES: dict[str, type[hashes.SHA1 | hashes.SHA256]] = {"1": hashes.SHA1, "2": hashes.SHA256}


class SnsMessage(Fields):
    """Verified message. `id`: the same whenever it is repeated. `message`: the text that was published."""

    __slots__ = ("id", "kind", "message")

    def __init__(self, value: object) -> None:
        super().__init__(value)
        self.kind = self.need("Type")
        self.id = self.need("MessageId")
        message = value.get("Message") if isinstance(value, dict) else None
        if not isinstance(message, str):
            raise Malformed("Message is not a text")
        self.message = message


class Sns:
    """Reader of messages, which fetches from Amazon what it needs to check them."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._certificates = SnsCertificates(fetch)

    async def receive(self, received: Received, topics: Collection[str]) -> SnsMessage:
        """Return the message in a request; nothing is fetched for one of another topic.

        Raises:
            Forged, Malformed, Unavailable: It is not a message of one of the topics.
        """
        if received.header("x-amz-sns-rawdelivery"):
            raise Forged("raw message delivery has no signature: switch it off for the subscription")
        values = document(received.body, LIMIT)
        message = SnsMessage(values)
        topic = message.need("TopicArn")
        if not proof.same(topic, topics):
            raise Forged("the message is from a topic that `reports` does not name")
        sent = message.moment("Timestamp")
        if sent is None:
            raise Malformed("Timestamp is missing")
        proof.check_age((received.at - sent).total_seconds(), OLDEST)
        await self._check_signature(message, values, received)
        return message

    async def confirm(self, message: SnsMessage) -> None:
        """Confirm a subscription, so that the topic begins to send; raise Forged or Unavailable."""
        url = message.need("SubscribeURL")
        query = parse_qs(amazon_url("SubscribeURL", url).query)
        if query.get("Action") != ["ConfirmSubscription"] or query.get("TopicArn") != [message.need("TopicArn")]:
            raise Forged("SubscribeURL does not confirm a subscription to the topic of the message")
        try:
            await self._fetch(url)
        except OSError:
            raise Unavailable("SubscribeURL cannot be fetched now") from None

    async def _check_signature(self, message: SnsMessage, values: object, received: Received) -> None:
        names = _SIGNED.get(message.kind)
        hashing = _HASHES.get(message.need("SignatureVersion"))
        if names is None or hashing is None:
            raise Malformed("Type or SignatureVersion is none that Amazon SNS documents")
        signature = proof.from_base64(message.need("Signature"))
        signed = _signed(values, names)
        key = await self._certificates.key(message.need("SigningCertURL"), received.at)
        try:
            key.verify(signature, signed, PKCS1v15(), hashing())
        except InvalidSignature:
            raise Forged("the signature is wrong") from None


def _signed(values: object, names: tuple[str, ...]) -> bytes:
    """Return the text that is signed: name and value of each field on a line of its own."""
    given = values if isinstance(values, dict) else {}
    lines: list[str] = []
    for name in names:
        value = given.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise Malformed(f"{name} is not a text")
        lines += [name, value]
    return "".join(f"{line}\n" for line in lines).encode()
