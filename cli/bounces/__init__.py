"""`notify bounces`: takes reports about mails over SMTP, LMTP or IMAP, and stores them."""

LARGEST = 10_485_760  # octets of a report, which may hold the whole mail; only its beginning is kept
