"""Reports of mail systems about mails that they accepted before."""
