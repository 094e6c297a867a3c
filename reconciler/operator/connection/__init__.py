"""The connection to a Kubernetes API: where it is, who we are, and copies of what it has."""
