"""How the RPM family speaks: dnf, rpm, and what they read and print."""
