"""Replicas that share the sites: who looks at which, and who may write."""
