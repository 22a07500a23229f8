"""Everything that happens to a notification later: queue, delivery, retries, upkeep.

`dramatiq actors` imports this package and uses Dramatiq's global broker. Only for that command, importing it reads the
settings and creates the broker.

Other programs import only the modules that they need. The API, for example, puts messages into Redis and delivers
nothing, so it does not load the channels and their HTTP and SMTP clients.
"""

import sys

if "dramatiq.cli" in sys.modules:
    from actors import worker

    worker.prepare()
