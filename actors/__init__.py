"""Delivery of notifications. `dramatiq actors` imports this package and finds the broker and the actor here.

Other programs import only the modules that they need. The API, for example, puts messages into Redis and delivers
nothing, so it does not load the channels and their HTTP and SMTP clients.
"""

import sys

if "dramatiq.cli" in sys.modules:
    from actors import worker as worker
    from actors.queue.broker import broker as broker
