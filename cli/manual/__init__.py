"""The manual: help, man pages and docs/cli.md, all made of the commands themselves and of examples.json."""
