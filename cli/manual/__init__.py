"""The manual: help and docs/cli.md, all made of the commands themselves and of examples.json."""
