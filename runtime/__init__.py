"""Infrastructure that every process needs: logs, redaction, metrics, traces, signals. Imports settings only."""
