"""What runs inside the sandbox, started by path; it imports nothing but the standard library and its own files."""
