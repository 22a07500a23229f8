"""Callback channel: signed POSTs to the clients' own endpoints."""
