"""Files on datastores: storage policies of vSAN, and the metadata of volumes."""
