"""The read-only web page, its data, and the endpoints for probes and Prometheus."""
