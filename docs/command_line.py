"""Print the reference of the command line, generated from the commands.

python docs/command_line.py > docs/cli.md
"""

from __future__ import annotations

import sys

from cli.main import notify
from cli.manual.markdown import document
from cli.manual.pages import pages

if __name__ == "__main__":
    sys.stdout.write(document(pages(notify)))
