"""Run ``rldf`` as ``python -m rldf_agents``."""

from rldf_agents.cli import main

if __name__ == "__main__":
    main()
