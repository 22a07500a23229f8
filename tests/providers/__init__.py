"""Mail providers with an HTTP API, as their documents describe them, that misbehave on command."""
