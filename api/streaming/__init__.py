"""Server-sent events: streams that stay open, thousands in a process, without a thread or a connection each."""
