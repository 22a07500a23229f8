"""Name of the field of a provider's API that carries our token and comes back in its reports."""

# Postmark allows 20 characters, and Amazon SES no other special ones than _ and -.
REFERENCE = "notify_token"
# The header by which a provider takes the field from a mail that comes over SMTP. Resend has none.
_HEADERS = {
    "ses": f"X-SES-MESSAGE-TAGS: {REFERENCE}=%s",
    "sendgrid": f'X-SMTPAPI: {{"unique_args": {{"{REFERENCE}": "%s"}}}}',
    "mailgun": f'X-Mailgun-Variables: {{"{REFERENCE}": "%s"}}',
    "postmark": f"X-PM-Metadata-{REFERENCE}: %s",
    "brevo": f"X-Mailin-custom: {REFERENCE}:%s",
    "sparkpost": f'X-MSYS-API: {{"metadata": {{"{REFERENCE}": "%s"}}}}',
    "mailjet": "X-MJ-CustomID: %s",
}


def header(kind: str, token: str) -> bytes:
    """Return the header with our token for a provider (a kind of settings/report_source.py); empty if it has none."""
    return f"{_HEADERS[kind] % token}\r\n".encode() if kind in _HEADERS else b""
