"""HTTP app, scoring pipeline and exports of Mitoserve; knows nothing of training or torch."""
