"""Shell completion: `notify completion` and the names it offers."""
