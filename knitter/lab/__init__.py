"""The embedded cloud: EC2 and EBS direct on this desk, no account needed.

moto answers the API in a process of its own; what moto gets wrong and knitter relies on is ours:

    service      starts, finds and stops that process; all that the rest of knitter calls
    __main__     the process: `python -m knitter.lab DIRECTORY`
    server       HTTP: the block API goes straight to `direct`, the rest through `signature` to moto
    direct       the EBS direct APIs
    images       RegisterImage and what follows it
    snapshots    DescribeSnapshots, DeleteSnapshot, CreateSnapshot, CopySnapshot
    corrections  puts the last two into moto, and fails loudly if moto's insides have moved
    ledger       what exists; written to `journal`, so a restart loses nothing
    blocks       snapshots' data in sparse files
"""
