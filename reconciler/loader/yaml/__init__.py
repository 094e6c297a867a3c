"""The YAML reader: text -> values.

`fast` reads text in which nothing is unusual; `careful` reads any text, with positions and every error in it. Where
both return a value, it is the same one.
"""
