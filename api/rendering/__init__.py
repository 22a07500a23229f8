"""Templates into texts, by processes of their own that can be ended.

What Jinja's sandbox leaves open is time and memory: a filter, a power or a regular expression may take
for ever within one call, where no count of operations looks. So a child process compiles and renders,
under limits that the kernel keeps (child.py), on behalf of a pool in the API's process (pool.py).
"""
