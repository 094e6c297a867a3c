"""Telemetry of a watch: metrics, webhook, service manager."""
