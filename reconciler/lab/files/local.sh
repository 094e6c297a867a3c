#!/bin/sh

# Commands in this file run at the end of every boot of this host.
#
# What they do is not supported by the vendor of the host: prefer its own ways of configuration where there are any.
# Changes of this file are kept only once the host has saved its state.
# This is a simulated host: `vdvs lab reboot` applies the vDVS section of this file, and runs nothing else in it.

exit 0
