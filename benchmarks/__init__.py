"""How fast the whole is, beside any other system with the same two endpoints. Nothing here asserts."""
