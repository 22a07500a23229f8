"""Chat messages to Slack, Discord, Telegram, Teams, and to the services of Apprise."""
