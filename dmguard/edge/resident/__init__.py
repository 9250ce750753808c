"""LVM in a process that stays: a growth then starts no process, and touches no disk to begin.

`server` is that process, and `client` its other end in the agent. LVM runs in the server alone: a
fault of the library's ends that one, and the agent goes on with plain commands.
"""
