"""The watch loop: triggers and resync; knows no protocol."""
