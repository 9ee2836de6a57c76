"""What the schedules of an exam save, on simulated mark tables."""
