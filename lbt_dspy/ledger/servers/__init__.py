"""How servers have answered of late, and what is made of it: whom to wait for, what to expect."""
