"""Reaching a host: ships the agent there and speaks its protocol. The only place that knows the wire format."""
