"""Rendering of templates in child processes that can be killed.

Jinja's sandbox does not limit time and memory: a filter, a power or a regular expression may run for ever within one
call. Therefore a child process compiles and renders templates, under limits that the kernel enforces (child.py), for
a pool in the API process (pool.py).
"""
