"""knitter: Amazon Machine Images from a distribution's signed packages, and nothing else.

recipe.toml -> packages -> rootfs -> disk -> boot -> snapshot -> ami
"""

__version__ = "0.1.0"
