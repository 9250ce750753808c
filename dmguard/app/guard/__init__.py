"""One verb a command: what they answer, typed. The agent's loop, entered by other doors."""
