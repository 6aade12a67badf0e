"""`python -m serving.cli` is `mitoserve`."""

from serving.cli.group import main

if __name__ == "__main__":
    main()
