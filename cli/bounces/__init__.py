"""`notify bounces`: takes reports about mails over SMTP or LMTP, and stores them."""
