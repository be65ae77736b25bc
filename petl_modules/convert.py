"""Convert adapters of other libraries into trained models of ours."""
