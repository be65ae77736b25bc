"""Model cards: ``README.md`` of an exported folder."""
