"""Webhooks and callbacks: signed POST requests to the clients' own servers."""
