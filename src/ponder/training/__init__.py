"""Training on recorded or sampled runs: small heads, labelled by roll-outs of the model itself."""
