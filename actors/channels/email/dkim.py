"""Sign mails with DKIM (RFC 6376): relaxed/relaxed, RSA-SHA256 or Ed25519-SHA256 (RFC 8463), always the whole body.

The library dkimpy verifies these signatures in the tests. It does not make them: its RSA in Python takes eight
milliseconds a mail, and it leaves fields unsigned that mail programs show.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

# Signed once more than they occur, so that a mail to which someone adds another one fails (RFC 6376, section 5.4.2).
OVERSIGNED = (
    *(b"from", b"to", b"cc", b"subject", b"date", b"reply-to", b"message-id"),
    *(b"mime-version", b"content-type", b"content-transfer-encoding"),
)
# Signed as often as they occur. RFC 8058, section 4 requires the first two, Gmail's feedback loop the third.
SIGNED = (
    *(b"list-unsubscribe", b"list-unsubscribe-post", b"feedback-id", b"list-id"),
    *(b"in-reply-to", b"references", b"auto-submitted"),
)
LINE = 76  # characters
_ALGORITHMS = {"rsa": b"rsa-sha256", "ed25519": b"ed25519-sha256"}
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_SPACES = re.compile(rb"[ \t\r\n]+")
_BLANKS = re.compile(rb"[ \t]+")


class Key(NamedTuple):
    """A private key, and where DNS has its public one: `selector._domainkey.domain`."""

    domain: str
    selector: str
    algorithm: str
    private: RSAPrivateKey | Ed25519PrivateKey


def sign(content: bytes, keys: Sequence[Key], written_at: int) -> bytes:
    """Return the mail below a signature of each key, the last one first. The same arguments give the same bytes.

    `content` has CRLF line ends. `written_at`: the time of the signatures, in seconds since 1970.
    """
    head, _, body = content.partition(b"\r\n\r\n")
    names, fields = _chosen(_fields(head))
    digest = b64encode(sha256(_relaxed_body(body)).digest())
    signed = b""
    for key in keys:
        field = (
            b"DKIM-Signature: v=1; a=%b; c=relaxed/relaxed;\r\n d=%b;\r\n s=%b; t=%d;\r\n h=%b;\r\n bh=%b;\r\n b="
            % (_ALGORITHMS[key.algorithm], key.domain.encode(), key.selector.encode(), written_at, names, digest)
        )
        signature = b64encode(_signature(key, fields + _relaxed(field)))
        signed = field + _folded(signature) + b"\r\n" + signed
    return signed + content


def _signature(key: Key, octets: bytes) -> bytes:
    if isinstance(key.private, RSAPrivateKey):
        return key.private.sign(octets, PKCS1v15(), SHA256())
    return key.private.sign(sha256(octets).digest())  # RFC 8463, section 3: the hash is what is signed


def _fields(head: bytes) -> dict[bytes, list[bytes]]:
    """Return the relaxed fields of a header by name, from top to bottom."""
    found: dict[bytes, list[bytes]] = defaultdict(list)
    for field in _FIELD_END.split(head):
        relaxed = _relaxed(field)
        found[relaxed.partition(b":")[0]].append(relaxed)
    return found


def _chosen(fields: dict[bytes, list[bytes]]) -> tuple[bytes, bytes]:
    """Return the value of h= and the fields that it names, each with its line end."""
    names: list[bytes] = []
    chosen: list[bytes] = []
    for name in (*OVERSIGNED, *SIGNED):
        there = fields.get(name, ())
        # A verifier takes fields of the same name from the bottom up (RFC 6376, section 5.4.2).
        chosen += reversed(there)
        names += [name] * (len(there) + (name in OVERSIGNED))
    return b"\r\n ".join(_lines(names)), b"".join(field + b"\r\n" for field in chosen)


def _lines(names: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the names in lines that end behind a colon."""
    line = b""
    for name in names:
        if len(line) + len(name) > LINE:
            yield line
            line = b""
        line += name + b":"
    yield line[:-1]


def _relaxed(field: bytes) -> bytes:
    """Return a field in relaxed form (RFC 6376, section 3.4.2), without its line end."""
    name, _, value = field.partition(b":")
    return name.strip().lower() + b":" + _SPACES.sub(b" ", value).strip()


def _relaxed_body(body: bytes) -> bytes:
    """Return a body in relaxed form (RFC 6376, section 3.4.4)."""
    if b"\t" in body or b"  " in body or b" \r\n" in body:
        body = _BLANKS.sub(b" ", body).replace(b" \r\n", b"\r\n")
    stripped = body.rstrip(b"\r\n")
    return stripped + b"\r\n" if stripped else b""


def _folded(text: bytes) -> bytes:
    return b"\r\n ".join(text[start : start + LINE - 3] for start in range(0, len(text), LINE - 3))
