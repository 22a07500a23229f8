"""Refusal of a mail, and the text of SMTP replies."""

from __future__ import annotations

from cli.terminal.show import plain

LINE = 500  # octets of a reply's line: RFC 5321, 4.5.3.1.5 allows 512 with its end
LINES = 20  # of one reply


class MailRefused(Exception):
    """Mail that cannot become a notification. `code` is the reply code with the enhanced status code (RFC 3463)."""

    def __init__(self, text: str, code: str = "554 5.6.0") -> None:
        super().__init__(text)
        self.text, self.code = text, code

    @property
    def reply(self) -> str:
        """Reply to the client."""
        return reply(self.code, self.text)


def reply(code: str, *texts: str) -> str:
    """Return an SMTP reply with a line for each text, in ASCII; `code` is for example "550 5.6.0"."""
    basic, enhanced = code.split()
    said = [plain(text).encode("ascii", "backslashreplace").decode() for text in texts[:LINES]]
    *others, last = [f"{enhanced} {text}"[: LINE - len(basic)] for text in said]
    return "\r\n".join([*(f"{basic}-{line}" for line in others), f"{basic} {last}"])
