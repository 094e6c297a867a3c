"""Telling programs what a watch sees: metrics, webhooks, the service manager."""
