"""One-stage detectors of a hundred kilobytes that find the generator's figures; `train.py` made their graphs."""
