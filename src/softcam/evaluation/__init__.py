"""What a trained model is worth: decisions and explanations on a manifest, with intervals."""
