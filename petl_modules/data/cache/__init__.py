"""Feature cache: compute features once for all folds, methods and runs."""

from petl_modules.data.cache.feature_cache import FeatureCache
from petl_modules.data.cache.fingerprint import feature_facts
from petl_modules.data.cache.store import Store, key_of

__all__ = [
    "FeatureCache",
    "Store",
    "feature_facts",
    "key_of",
]
