"""Manual of the command line: --help and docs/cli.md, made from the commands and from examples.json."""
