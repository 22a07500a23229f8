"""Signatures of requests to AWS, against those of AWS's own library."""

from __future__ import annotations

import string
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from actors.channels.http_api import Request
from actors.channels.sigv4 import signed
from settings.http_account import HttpAccount
from tests.providers.apis import authorization

VISIBLE = string.ascii_letters + string.digits + string.punctuation
SEGMENTS = st.text(string.ascii_letters + string.digits + "-_~%:@!$&'()*+,;=ü ", min_size=1, max_size=12)
VALUES = st.text(VISIBLE + "  ", max_size=30)


@given(
    path=st.lists(SEGMENTS, max_size=4).map(lambda segments: "/" + "/".join(segments)),
    host=st.from_regex(r"[a-z]{1,10}(\.[a-z]{1,10}){1,2}(:8[0-9]{3})?", fullmatch=True),
    more=st.dictionaries(st.from_regex(r"X-Sign-[A-Za-z0-9-]{1,9}", fullmatch=True).map(str.title), VALUES, max_size=4),
    body=st.binary(max_size=200),
    now=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    key=st.tuples(st.text(VISIBLE, min_size=1), st.text(VISIBLE, min_size=1)),
    region=st.sampled_from(["eu-west-1", "us-east-1", "ap-southeast-2", "us-gov-west-1"]),
)
def test_a_signature_equals_that_of_the_aws_library(
    *, path: str, host: str, more: dict[str, str], body: bytes, now: datetime, key: tuple[str, str], region: str
) -> None:
    url = f"https://{host}{path}"
    account = HttpAccount("ses", key[1], f"https://{host}", key=key[0], region=region)

    made = signed(Request(url, {"Content-Type": "application/json", **more}, body), account, "ses", now)

    assert made.headers["Authorization"] == authorization(url, dict(made.headers), body, now, key, region)
    assert (made.url, made.body) == (url, body)
