"""The limit: the highest arrival rate at which a lane keeps what is asked of it."""
