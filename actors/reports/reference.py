"""Name of the field of a provider's API that carries our token and comes back in its reports."""

# Postmark allows 20 characters, and Amazon SES no other special ones than _ and -.
REFERENCE = "notify_token"
