"""Pictures of Flower for the documents: `make screenshots`."""
