"""`python -P -m search` is `seqtune`, where only the interpreter is known."""

from search.cli import main

if __name__ == "__main__":
    main()
