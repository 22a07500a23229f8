"""An application in Django that sends through the notification system."""
