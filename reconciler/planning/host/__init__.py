"""Hosts: link, persistence, driver, service, maintenance mode, and what vCenter says of them."""
