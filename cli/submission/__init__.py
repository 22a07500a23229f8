"""`notify smtp`: takes mails over SMTP and stores each as a notification, through the API."""
