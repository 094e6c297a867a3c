"""Values -> text, JSON or YAML. Pure."""
