"""Push channel: messages to apps and browsers by Firebase Cloud Messaging, APNs and Web Push."""
