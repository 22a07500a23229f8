"""Sandbox channel: simulated recipients for test keys."""
