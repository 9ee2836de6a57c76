"""How many calls a second clients make, and what a call costs them."""
