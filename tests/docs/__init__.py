"""Every code block of README.md and docs/ is executed, and the site is built."""
