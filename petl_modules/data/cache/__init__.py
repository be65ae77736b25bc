"""Features that are computed once, for all folds, methods and runs.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.data.cache.feature_cache import FeatureCache

__all__ = [
    "FeatureCache",
]
