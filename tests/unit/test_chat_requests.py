"""The requests to chat services: their content, which is the same in every attempt, and mentions that they prevent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from actors.channels import Refused
from actors.channels.chat import discord, slack, teams, telegram
from actors.channels.chat.message import LONGEST, Message, excess
from actors.channels.chat.services import Api
from actors.channels.webhook import service as webhook
from db.destinations import Address
from db.records import Claimed

PLACE = Address(1, "slack", "https://example.com/secret", 1_700_000_000)
CHAT = Address(2, "telegram", "https://api.telegram.org", 0, "123:abc", "-100")


def body(api: Api, subject: str, message: str, to: Address = PLACE, **data: Any) -> Any:
    return orjson.loads(api.request(Message(subject, message, data), to).body)


def claimed(type: str = "chat", **fields: Any) -> Claimed:
    at = datetime(2024, 1, 1, 10, tzinfo=UTC)
    values = {"recipient": "alerts", "subject": "", "message": "Hello", "html": None, **fields}
    return Claimed(7, 1, type, on_uncertain="resend", retry_count=0, created_at=at, **values)


def test_slack_gets_a_bold_title_and_the_text() -> None:
    assert body(slack, "Disk", "is full") == {"text": "*Disk*\nis full"}
    assert body(slack, "", "Hello") == {"text": "Hello"}


def test_slack_cannot_be_made_to_mention_anybody() -> None:
    text = body(slack, "<!here>", "<!channel> <@U1> <https://e.com|x> a & b")["text"]
    assert text == "*&lt;!here&gt;*\n&lt;!channel&gt; &lt;@U1&gt; &lt;https://e.com|x&gt; a &amp; b"


def test_slack_blocks_are_the_clients_own() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}]
    assert body(slack, "", "Hello", blocks=blocks, text="other") == {"text": "Hello", "blocks": blocks}


def test_discord_mentions_nobody_unless_the_client_asks() -> None:
    assert body(discord, "T", "@everyone") == {"content": "**T**\n@everyone", "allowed_mentions": {"parse": []}}
    asked = {"parse": ["everyone"]}
    assert body(discord, "", "@everyone", allowed_mentions=asked)["allowed_mentions"] == asked


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://discord.com/api/webhooks/1/x", "https://discord.com/api/webhooks/1/x?wait=true"),
        ("https://discord.com/x?thread_id=5", "https://discord.com/x?thread_id=5&wait=true"),
        ("https://discord.com/x?wait=true", "https://discord.com/x?wait=true"),
    ],
)
def test_discord_is_asked_to_answer_only_after_the_message_is_posted(url: str, called: str) -> None:
    assert discord.request(Message("", "x", {}), PLACE._replace(url=url)).url == called


def test_telegram_gets_plain_text_with_a_bold_title() -> None:
    request = telegram.request(Message("🔥 Disk", "is *full*", {}), CHAT)
    assert request.url == "https://api.telegram.org/bot123:abc/sendMessage"
    bold = {"type": "bold", "offset": 0, "length": 7}
    assert orjson.loads(request.body) == {"chat_id": "-100", "text": "🔥 Disk\nis *full*", "entities": [bold]}
    assert body(telegram, "", "Hello", CHAT) == {"chat_id": "-100", "text": "Hello"}


def test_telegram_formats_as_the_client_asks_and_keeps_the_chat() -> None:
    made = body(telegram, "T", "<b>x</b>", CHAT, parse_mode="HTML", chat_id="-200", text="other")
    assert made == {"chat_id": "-100", "text": "T\n<b>x</b>", "parse_mode": "HTML"}


def test_teams_gets_a_card() -> None:
    made = body(teams, "Disk", "is\nfull")
    [attachment] = made["attachments"]
    card = attachment["content"]
    assert made["type"] == "message"
    assert (attachment["contentType"], attachment["contentUrl"]) == ("application/vnd.microsoft.card.adaptive", None)
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert [block["text"] for block in card["body"]] == ["Disk", "is\n\nfull"]


def test_teams_takes_the_clients_own_card() -> None:
    own = [{"type": "TextBlock", "text": "own"}]
    actions = [{"type": "Action.OpenUrl", "title": "Open", "url": "https://e.com"}]
    made = body(teams, "", "Hello", body=own, actions=actions, version="1.5", type="Other")
    card = made["attachments"][0]["content"]
    assert (card["body"], card["actions"], card["fallbackText"]) == (own, actions, "Hello")
    assert (card["version"], card["type"]) == ("1.5", "AdaptiveCard")


def test_an_invalid_teams_card_is_refused() -> None:
    with pytest.raises(Refused, match="shorten it"):
        teams.request(Message("", "x" * 30_000, {}), PLACE)


@pytest.mark.parametrize("kind", LONGEST)
def test_a_text_that_is_too_long_is_refused_before_it_is_sent(kind: str) -> None:
    assert excess(kind, "x" * 10, "x" * (LONGEST[kind] - 10)) is None
    told = excess(kind, "x" * 10, "x" * (LONGEST[kind] - 9))
    assert told is not None
    assert kind in told


def test_fields_of_data_keep_their_order_and_may_hold_large_numbers() -> None:
    given = '{"z":1e30,"a":123456789012345678901234567890,"m":[1.0]}'
    message = Message.of(claimed(mail={"data": given}))
    assert list(message.data) == ["z", "a", "m"]
    assert orjson.loads(slack.request(message, PLACE).body)["z"] == 1e30


def test_the_secrets_of_a_destination_are_not_in_its_repr() -> None:
    shown = repr(CHAT._replace(secrets=("whsec_x",)))
    assert shown == "Address(2, telegram)"


def test_a_webhook_gets_the_same_bytes_in_every_attempt() -> None:
    notification = claimed("webhook", subject="order.shipped", message='{"z":1,"a":1e30}')
    place = PLACE._replace(kind="webhook", secrets=("whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",))
    first, second = webhook.request(notification, place), webhook.request(notification._replace(claim=2), place)
    assert first == second
    assert first.body == (b'{"type":"order.shipped","timestamp":"2024-01-01T10:00:00Z","data":{"z":1,"a":1e30}}')
    assert first.headers["webhook-id"] == "msg_7"
    assert first.headers["webhook-timestamp"] == "1700000000"


def test_a_webhook_without_an_event_has_the_usual_type() -> None:
    assert orjson.loads(webhook.request(claimed("webhook", message="[]"), PLACE).body)["type"] == "notification"
