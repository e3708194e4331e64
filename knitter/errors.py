"""The errors a user sees.  Raised where it happens, rendered once, by the reporter.

KnitterError            anything a user can cause or must act on
├── RecipeError         a recipe or the settings say something impossible
├── CommandError        a command ended with a code that is not 0
└── CloudError          the cloud refused or did not answer; carries the API's error code
"""


class KnitterError(Exception):
    """What happened (brief), where (details), and what to do next (hint)."""

    def __init__(self, brief: str, *, details: str = "", hint: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.hint = hint


class RecipeError(KnitterError):
    """A recipe or the settings cannot be used as written."""


class CommandError(KnitterError):
    """A command failed.  `code` is its exit code, negative for a signal."""

    def __init__(self, brief: str, *, code: int, details: str = "", hint: str = "") -> None:
        super().__init__(brief, details=details, hint=hint)
        self.code = code


class CloudError(KnitterError):
    """The cloud refused a call.  `code` is the API's own error code, such as `UnauthorizedOperation`."""

    def __init__(self, brief: str, *, code: str = "", details: str = "", hint: str = "") -> None:
        super().__init__(brief, details=details, hint=hint)
        self.code = code
