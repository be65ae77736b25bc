"""Models as classes of transformers and adapters of peft, and back."""
