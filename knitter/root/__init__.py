"""A root tree in the making: the machine's work that `distro` plans.

tree        where it is made, and how commands run in it
family      what making a root asks of a family of distributions; debian, redhat: how each does it; families: which
copies      packages on their way into the tree
base        bootstrapped from a lock, kept by content
dress       customised as a recipe says
proof       the packed tree, looked through by somebody who did not make it
"""
