"""Rows in the database after oddly written answers, limits and unknown outcomes."""

from __future__ import annotations

from contextlib import suppress
from unittest import mock

import pytest

from actors.delivery import Again
from db import lifecycle, suppressions
from tests.integration.rows import GRACE, draft, history, passed, row
from tests.integration.test_delivery import Make, accept, make
from tests.smtp import Drop, Reply, SmtpServer
from tests.smtp.session import Session

__all__ = ["make"]  # a fixture


def tried(make: Make, id: int, times: int, **settings: object) -> None:
    """Deliver it as often as it is due again."""
    delivery = make(max_attempts=times, **settings)
    for _ in range(times):
        with suppress(Again):
            delivery.deliver([id])
        passed(10_000, id)


def glued(self: Session, code: int, text: str) -> None:
    """Send the answer without a space after the last code."""
    *first, last = text.split("\n")
    self._wire.write("".join([*(f"{code}-{line}\r\n" for line in first), f"{code}{last}\r\n"]).encode())


def test_a_reply_code_without_a_space_after_the_dot_means_sent(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Reply(250, "Ok"))
    [id] = accept("a@example.com")
    with mock.patch.object(Session, "_write", glued):
        make().deliver([id])
    assert (row(id)["status"], history(id), len(smtp_server.mails)) == ("sent", ["sent"], 1)


def test_uncertain_attempts_end_as_outcome_unknown(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop(), times=None)
    [id] = accept("a@example.com")
    tried(make, id, 3)
    assert (row(id)["status"], row(id)["failure_reason"]) == ("failed", "outcome-unknown")
    assert history(id) == ["uncertain"] * 3


def test_the_last_attempt_decides_between_exhausted_and_outcome_unknown(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop())
    smtp_server.on("dot", Reply(451, "4.3.0 later"), times=None)
    [id] = accept("a@example.com")
    tried(make, id, 2)
    assert (row(id)["failure_reason"], history(id)) == ("exhausted", ["uncertain", "deferred"])


@pytest.mark.parametrize("phase", ["rcpt", "dot"])
@pytest.mark.parametrize(
    "said",
    ["5.4.5 Daily user sending limit exceeded", "Sending paused for this account", "5.7.0 Authentication required"],
)
def test_a_limit_of_the_account_fails_no_notification_and_suppresses_nobody(
    make: Make, smtp_server: SmtpServer, phase: str, said: str
) -> None:
    smtp_server.on(phase, Reply(550, said), times=None)  # type: ignore[arg-type]
    [id] = accept("a@example.com")
    with pytest.raises(Again):
        make().deliver([id])
    assert (row(id)["status"], history(id)) == ("pending", ["provider-down"])
    assert suppressions.newest(1, {}, None, 9) == []


def test_a_reply_that_a_mailbox_gets_too_much_mail_suppresses_nobody(make: Make, smtp_server: SmtpServer) -> None:
    said = "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents\n5.2.1 more"
    smtp_server.on("rcpt", Reply(550, said), times=None)
    [id] = accept("a@example.com")
    make().deliver([id])
    assert row(id)["failure_reason"] == "rejected"
    assert suppressions.newest(1, {}, None, 9) == []


def test_a_552_for_too_many_recipients_is_tried_again_for_all(make: Make, smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", Reply(552, "5.5.3 too many recipients"), to="c@example.com")
    mail = '{"cc": ["b@example.com", "c@example.com"]}'
    [accepted] = lifecycle.accept([draft("a@example.com")._replace(mail=mail)], GRACE)
    tried(make, accepted.id, 2)
    assert history(accepted.id) == ["deferred", "sent"]
    assert [sent.recipients for sent in smtp_server.mails] == [("a@example.com", "b@example.com", "c@example.com")]
