"""Resources of the API, one module each, and their JSON."""
