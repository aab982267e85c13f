"""Credentials: built, signed and checked. No Flask, no database; what is signed is a pure function of frozen facts."""
