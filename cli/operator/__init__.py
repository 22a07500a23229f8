"""Commands for operators, which talk to the database and Redis directly."""
