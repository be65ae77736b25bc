"""Feature cache: compute features once for all folds, methods and runs."""

from petl_modules.data.cache.feature_cache import FeatureCache

__all__ = [
    "FeatureCache",
]
