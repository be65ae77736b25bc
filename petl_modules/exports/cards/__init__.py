"""Model cards: ``README.md`` of an exported folder."""

from petl_modules.exports.cards.base import base_of, name_base
from petl_modules.exports.cards.model_card import loaded_as, model_card

__all__ = ["base_of", "loaded_as", "model_card", "name_base"]
