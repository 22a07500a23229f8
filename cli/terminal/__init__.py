"""Output, errors, times and signals, as all commands use them."""
