"""Readers of labelled data: one file a published format, all giving `Field` or `CropBank`."""
