"""Mail providers that are reached by HTTP: one module for each, with its requests and the meaning of its answers."""
