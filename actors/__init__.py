"""Delivery of notifications. `dramatiq actors` imports this package and finds the broker and the actor here.

Other programs import only the modules that they need: the API puts messages into Redis and delivers nothing,
so it starts without the channels and their HTTP and SMTP clients.
"""

import sys

if "dramatiq.cli" in sys.modules:
    from actors import worker as worker
    from actors.queue.broker import broker as broker
