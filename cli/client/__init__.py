"""Commands that talk to the HTTP API."""
