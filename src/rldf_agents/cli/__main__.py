"""Run ``rldf`` as ``python -m rldf_agents.cli``."""

from rldf_agents.cli.program import main

if __name__ == "__main__":
    main()
