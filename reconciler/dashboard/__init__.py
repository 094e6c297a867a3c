"""The read-only web page, its data, and what probes and Prometheus ask."""
