"""What a package beside Mitoserve may add to it, one file each."""
