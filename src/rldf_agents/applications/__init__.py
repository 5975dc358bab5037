"""What the agents are used for: so far, the search of a picture's meaning."""
