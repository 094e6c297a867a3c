"""Rights: which rule of vDVS decides a request, and what a change means in rights."""
