"""Server-sent events: thousands of open streams in a process, without a thread or database connection for each."""
