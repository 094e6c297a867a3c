"""The data of the page of a watch. Names in it are as they were read: bounded, and only ever encoded as JSON."""
