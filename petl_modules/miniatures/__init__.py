"""Generated sounds, speech and music in the layouts of the recipes' datasets."""
