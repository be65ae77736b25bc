"""Generated sounds and speech in the layouts of the five datasets.

Authors
 * The PETL audio recipes team 2026
"""
