"""E-mail channel: SMTP and MIME."""
