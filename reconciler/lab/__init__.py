"""The embedded site: simulated ESXi hosts in a folder. Never touches the machine it runs on."""
