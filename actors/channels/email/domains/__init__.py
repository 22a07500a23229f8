"""Sending domains: their keys, and the DNS records that they need. Nothing here asks the database."""
