"""Tokens that identify our account: the same for a time in every process, and valid when they are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.channels.push.apns import TOKEN_KEPT, provider_token
from actors.channels.push.keys import signing_key
from actors.channels.push.webpush import Vapid
from settings.providers import parse
from settings.push_accounts import PushAccount
from tests.providers.push_keys import CONTACT, KEY_ID, TEAM_ID, url, verified

NOW = 1_700_000_000 // TOKEN_KEPT * TOKEN_KEPT


def account(kind: str, folder: Path) -> PushAccount:
    found = parse("PROVIDER_APP", url(kind, folder, "http://127.0.0.1:1")).account
    assert isinstance(found, PushAccount)
    return found


def test_the_token_for_apns_is_the_same_everywhere_for_half_an_hour(tmp_path: Path) -> None:
    apple = account("apns", tmp_path)
    key = signing_key(apple)
    first = provider_token(apple, key, NOW)

    assert provider_token(apple, key, NOW + TOKEN_KEPT - 1) == first
    assert provider_token(apple, key, NOW + TOKEN_KEPT) != first
    header, claims = verified(first)
    assert header == {"alg": "ES256", "typ": "JWT", "kid": KEY_ID}
    assert claims["iss"] == TEAM_ID


@pytest.mark.parametrize("seconds", range(0, TOKEN_KEPT, 97))
def test_the_token_for_apns_is_never_from_the_future_and_never_an_hour_old(seconds: int, tmp_path: Path) -> None:
    apple = account("apns", tmp_path)
    _, claims = verified(provider_token(apple, signing_key(apple), NOW + seconds))

    assert 60 < NOW + seconds - claims["iat"] < 3_600 - 60


def test_each_web_push_service_gets_a_token_for_its_own_origin(tmp_path: Path) -> None:
    web = account("webpush", tmp_path)
    vapid = Vapid(web, signing_key(web))
    found = {
        place: vapid.authorization(f"https://{place}/s/1?x=y", NOW)
        for place in ("push.example.com", "push.example.com:8443", "other.example.com")
    }

    assert len(set(found.values())) == 3
    for place, header in found.items():
        _, claims = verified(header.removeprefix("vapid t=").partition(",")[0])
        assert claims == {"aud": f"https://{place}", "exp": claims["exp"], "sub": f"mailto:{CONTACT}"}
        assert 3_600 < claims["exp"] - NOW < 86_400
        assert vapid.authorization(f"https://{place}/s/2", NOW + 60) == header
