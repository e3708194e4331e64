"""The embedded cloud: EC2 and EBS direct on this desk, no account needed.

moto answers the API in a process of its own; what moto gets wrong and knitter relies on is ours:

    service      starts, finds and stops that process; all that the rest of knitter calls
    __main__     the process: `python -m knitter.lab DIRECTORY`
    server       HTTP: the block API goes straight to `direct`, the rest through `front` to moto
    front        health, the record of calls (`tally`), signatures (`signature`)
    direct       the EBS direct APIs
    images       RegisterImage and what follows it
    snapshots    DescribeSnapshots, DeleteSnapshot; `copies` CopySnapshot, CopyImage; `captures` CreateSnapshot
    volumes      CreateVolume and what follows it; `attachments` AttachVolume, DetachVolume
    launch       RunInstances; `instances` what follows it; `enrolment` what moto's books say of an instance
    corrections  puts all of these into moto, and fails loudly if moto's insides have moved
    rack         the life of instances: which machine is on, with which volumes
    machines     the seam to what runs them; `guests` QEMU
    ledger       what exists; written to `journal`, so a restart loses nothing but instances
    blocks       snapshots' data in sparse files; `storage` volumes' data
"""
