"""The watch loop: triggers and resync. Knows no protocol."""
