"""Plans in files: what was reviewed is what is applied. `codec`: values as plain data; `document`: a plan as text that
shows any damage; `files`: reading and writing it."""
