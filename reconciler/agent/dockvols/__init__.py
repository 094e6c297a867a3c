"""The folder `dockvols/` of a datastore: name links, volumes and their metadata, storage policies."""
