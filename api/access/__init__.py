"""Access control: keys, scopes, rate limits, quotas, fair shares of a process."""
