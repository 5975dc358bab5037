"""``python -m rldf_agents.cli`` is ``rldf``."""

from rldf_agents.cli.application import main

if __name__ == "__main__":
    main()
