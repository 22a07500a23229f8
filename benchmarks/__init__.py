"""Measure the whole system, and compare it with any other system that has the same two endpoints."""
