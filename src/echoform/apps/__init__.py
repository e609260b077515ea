"""What a user runs: the command line. No mathematics here."""
