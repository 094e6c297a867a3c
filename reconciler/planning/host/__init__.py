"""Hosts: link, persistence, driver, service, maintenance mode, and their state in vCenter."""
