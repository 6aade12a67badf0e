"""`python -m training`: label, train, judge and release the models that Mitoserve serves."""

from training.cli.group import main

if __name__ == "__main__":
    main()
