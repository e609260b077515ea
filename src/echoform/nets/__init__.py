"""Networks that see operators only through their contract."""
