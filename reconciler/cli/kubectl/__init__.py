"""`kubectl vdvs`: what an operator says of the objects on an API, and approvals. It reaches no site."""
