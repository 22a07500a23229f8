"""Fields of reports: wrong types, huge and deep values, and any bytes give a reason and never another exception."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.reports.event import Event
from actors.reports.providers import Forged, Malformed, Received, Unavailable
from actors.reports.providers.fields import LONGEST, address
from settings.report_source import UNSIGNED
from tests.reports import mailgun, resend, sendgrid, unsigned
from tests.reports.providers import PROVIDERS
from tests.reports.requests import NOW, URL, Provider, json, read, request

REFUSED = (Forged, Malformed, Unavailable)
JSON = [one for one in PROVIDERS.values() if one.kind not in ("twilio", "vonage")]
WRONG: list[object] = [None, "", True, 7, 1.5, "text", "a\x00b", "x" * 5_000, ["a"], {}, {"a": []}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value within a payload."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], other: object) -> Any:
    if not path:
        return other
    if isinstance(value, dict):
        return {key: replaced(child, path[1:], other) if key == path[0] else child for key, child in value.items()}
    return [replaced(child, path[1:], other) if key == path[0] else child for key, child in enumerate(value)]


def sound(events: list[Event]) -> None:
    for event in events:
        assert event.kind in {"delivered", "delayed", "bounced", "complained", "unsubscribed", "resubscribed"}
        assert event.bounce_class in (
            {"hard", "soft", "policy", "sender", "unknown"} if event.kind == "bounced" else {None}
        )
        assert len(event.text) <= 500
        assert event.at is None or event.at.utcoffset() is not None
        for part in (event.token, event.provider_message_id, event.recipient, event.code, event.text, event.event_id):
            assert part is None or (part.isprintable() and len(part) <= 2_100)


def survives(provider: Provider, received: Received) -> None:
    with suppress(*REFUSED):
        sound(provider.read(received))


@pytest.mark.parametrize("provider", JSON, ids=lambda provider: provider.kind)
def test_any_value_in_any_field_gives_events_or_a_reason(provider: Provider) -> None:
    shapes = {str(list(places(one.payload))): one.payload for one in provider.documented}
    for payload in shapes.values():
        for path in places(payload):
            for wrong in WRONG:
                survives(provider, provider.sign(replaced(payload, path, wrong), 0, NOW))


@pytest.mark.parametrize("kind", ["twilio", "vonage"])
@pytest.mark.parametrize("wrong", ["", " ", "\x00", "\r\nX: y", "x" * 5_000, "é", "\u2028", "-1", "1e999"])
def test_any_text_in_any_field_gives_events_or_a_reason(kind: str, wrong: str) -> None:
    provider = PROVIDERS[kind]
    for one in provider.documented:
        for name in one.payload:
            if name != "error":
                survives(provider, provider.sign(one.payload | {name: wrong}, 0, NOW))


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        ("postmark", unsigned.postmark("Bounce", Type=["HardBounce"]), "Type is not a text"),
        ("postmark", unsigned.postmark("Delivery", DeliveredAt="yesterday"), "DeliveredAt is not a time"),
        ("postmark", unsigned.postmark("Delivery", Metadata=[1]), "Metadata is not an object"),
        ("postmark", unsigned.postmark("Delivery", Recipient="a\r\nb"), "Recipient is longer than"),
        ("postmark", {"MessageID": "1"}, "RecordType is missing"),
        ("brevo", 7, "the body is not an object"),
        ("sparkpost", {}, "the body is not a list"),
        ("sparkpost", [{"msys": {}}, {"msys": {"message_event": 7}}], "events[1].msys.message_event is not an object"),
        ("mailjet", [{"event": "sent"}, 7], "events[1] is not an object"),
        ("mailjet", unsigned.mailjet("bounce", hard_bounce="yes"), "hard_bounce is not true or false"),
        ("sendgrid", [{"event": "delivered", "timestamp": 1e300}], "events[0].timestamp is not a time"),
        ("resend", resend.event("email.delivered", to=["a@example.com", 7]), "data.to has an entry that is not a text"),
        ("mailgun", mailgun.event("delivered", message={"headers": 7}), "event-data.message.headers is not an object"),
    ],
)
def test_a_reason_names_the_field(kind: str, payload: Any, reason: str) -> None:
    provider = PROVIDERS[kind]
    with pytest.raises(Malformed) as refused:
        provider.read(provider.sign(payload, 0, NOW))
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"{", b"NaN", b"[" * 100_000, b'{"a":' * 100_000, b'"\\ud800"', b"\x00", b" " * 9_000_000]
)
@pytest.mark.parametrize("kind", UNSIGNED)
def test_a_body_that_is_huge_deep_or_no_json_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(Malformed, match="the body"):
        read(unsigned.sign({}, 0, NOW)._replace(body=body), PROVIDERS[kind].source)


def test_a_signed_body_that_is_huge_or_deep_is_refused() -> None:
    for body in (b"[" * 100_000, b"[]" + b" " * 8_000_000, b"[" + b"[]," * 200_000 + b"[]]"):
        with pytest.raises(Malformed):
            read(sendgrid.signed(body, 0, NOW), sendgrid.PROVIDER.source)


def test_an_address_with_comments_nested_deep_is_taken_as_it_is() -> None:
    deep = "(" * LONGEST
    assert address(deep) == deep
    provider = PROVIDERS["resend"]
    [event] = provider.read(provider.sign(resend.event("email.delivered", to=[deep]), 0, NOW))
    assert event.recipient == deep


@pytest.mark.parametrize(
    ("kind", "event"), [("brevo", unsigned.brevo("delivered")), ("mailjet", unsigned.mailjet("sent"))]
)
def test_each_provider_sends_a_single_event_or_a_batch_as_documented(kind: str, event: dict[str, Any]) -> None:
    provider = PROVIDERS[kind]
    one, two, none = (provider.read(provider.sign(payload, 0, NOW)) for payload in (event, [event, event], []))

    assert (len(one), two, none) == (1, one * 2, [])


def test_events_of_a_large_batch_are_all_read() -> None:
    batch = [sendgrid.event("delivered", sg_event_id=f"event-{number}") for number in range(2_000)]

    events = read(sendgrid.sign(batch, 0, NOW), sendgrid.PROVIDER.source)

    assert len({event.event_id for event in events}) == 2_000


header_values = st.text(max_size=60) | st.sampled_from(["1795953600", "Basic eDp5", "Bearer a.b.c", "v1,AAAA", "AAAA"])
names = sorted({name for one in PROVIDERS.values() for name in one.headers} | {"Content-Type", "x-amz-sns-rawdelivery"})
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
def test_any_request_is_refused_with_a_reason(provider: Provider) -> None:
    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.binary(max_size=300) | values.map(json),
        st.dictionaries(st.sampled_from(names) | st.text(max_size=12), header_values, max_size=5),
        st.text(max_size=60) | st.sampled_from([f"{URL}&secret=x", "https://[::1", "?%ff=%fe&&=#"]),
    )
    def holds(body: bytes, headers: dict[str, str], url: str) -> None:
        with pytest.raises(REFUSED):
            provider.read(request(body, headers, url))

    holds()


@pytest.mark.parametrize("provider", JSON, ids=lambda provider: provider.kind)
def test_any_payload_that_is_signed_gives_events_or_a_reason(provider: Provider) -> None:
    fields = sorted(
        {key for one in provider.documented for path in places(one.payload) for key in path if isinstance(key, str)}
    )
    known = st.dictionaries(
        st.sampled_from(fields), values | st.dictionaries(st.sampled_from(fields), values), max_size=6
    )

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(known | st.lists(known, max_size=3), st.sampled_from([one.payload for one in provider.documented]))
    def holds(payload: Any, documented: Any) -> None:
        if isinstance(payload, dict) and isinstance(documented, dict):
            payload = documented | payload
        survives(provider, provider.sign(payload, 0, NOW))

    holds()
