"""Reports: what mail systems say about mails that they took before."""
