"""Requests of providers' webhooks, as the providers document and sign them."""
