"""The models as torch modules: trunks, the heads on them, and where their initial weights come from."""
