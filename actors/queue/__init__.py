"""Redis queue: wake-up messages carry ids to the workers. The API imports this part of `actors` and no delivery."""
