"""`notify top`: what moves, lane by lane and worker by worker, again and again."""
