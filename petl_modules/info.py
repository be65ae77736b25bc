"""Show what a trained model is."""
