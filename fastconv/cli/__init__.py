"""The command `fastconv`."""
