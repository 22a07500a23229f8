"""A mail server for tests that answers, hangs or drops the connection wherever a test says so."""

from tests.smtp.limits import Limits
from tests.smtp.records import Mail, Refusal
from tests.smtp.script import Action, Drop, Hang, Phase, Reply
from tests.smtp.server import SmtpServer

__all__ = ["Action", "Drop", "Hang", "Limits", "Mail", "Phase", "Refusal", "Reply", "SmtpServer"]
