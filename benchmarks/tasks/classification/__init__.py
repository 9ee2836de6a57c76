"""Classification: shipped data sets, and a task of the user's own."""
