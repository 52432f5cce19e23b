"""Wire formats of answers, one file each."""
