"""What a reply means, whichever client it came through: why it ended, its text, its thoughts, its tokens."""
