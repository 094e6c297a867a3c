"""Plan -> ActionResults: carries out a plan, host by host, and isolates failures."""
