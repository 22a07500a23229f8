"""Everything that happens to a notification later: queue, delivery, retries, upkeep.

`dramatiq actors` imports this package and takes Dramatiq's global broker. That command is the one place where an import
reads the settings and makes the broker. All other programs import the modules that they need.
"""

import sys

if "dramatiq.cli" in sys.modules:
    from actors import worker

    worker.prepare()
