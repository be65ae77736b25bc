"""Generated sounds and speech in the layouts of the five datasets."""
