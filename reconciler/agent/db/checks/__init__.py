"""What a config DB may contain, which rules its rows break, and what it must hold after a change."""
