"""Checks of `notify doctor`. Each module has the probe of one part of the system, which yields findings."""
