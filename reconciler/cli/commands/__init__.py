"""The commands, one module each: options in, a call, the result out. What only some of them need is imported late."""
