"""`notify top`: live view of queues, workers, breakers and failures."""
