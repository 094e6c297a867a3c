"""Values picked out of data by JSONPath, as kubectl has it: templates, columns, and what to sort by."""
