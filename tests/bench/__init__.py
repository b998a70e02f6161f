"""How fast the trials train, measured against the course's loop in one run: `make bench`, `python -m tests.bench`."""
