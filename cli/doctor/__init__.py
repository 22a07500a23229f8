"""What `notify doctor` looks at. Each probe is one module beside this file and yields findings as it makes them."""
