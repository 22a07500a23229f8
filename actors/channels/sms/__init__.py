"""SMS channel: texts to phone numbers, through providers with an HTTP API."""
