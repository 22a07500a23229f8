"""`notify up` and `notify api`: run the system's processes on one machine."""
