"""An exported folder on the hub: a repository of the user's, private unless they say otherwise.

Endpoint and token are those of huggingface_hub: `HF_ENDPOINT`, and `hf auth login` or `HF_TOKEN`.
"""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from rot5.errors import UserError

TROUBLE: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, OSError, ValueError, RuntimeError)  # type: ignore
"""What comes of a hub: whatever the HTTP client of huggingface_hub raises, which is not the same library in all of its
versions; ValueError of a card that is refused, RuntimeError of a file that did not arrive."""


def check_pushable(name: str) -> None:
    """Raise UserError, before any work, for what is no USER/NAME and where nobody is logged in."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"push {name!r} is no name of the hub: {error}") from None
    if "/" not in name:
        raise UserError(f"push {name!r} does not say whose it is: USER/{name}")
    if not get_token():
        raise UserError(f"push {name} needs a login: call `hf auth login`, or set HF_TOKEN to a token that may write")


def push(folder: Path, name: str, *, private: bool) -> str:
    """Upload all of `folder` to the repository `name`, which is made if need be; its address.

    Files of the repository that `folder` has not stay. Raises UserError for whatever the hub refuses, where it cannot
    be reached, and where `private` is asked of a repository that is public.
    """
    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if private and api.model_info(name).private is False:
            raise UserError(f"push {name}: the repository is public already: say --private false to push there")
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Export of rot5")
    except UserError:
        raise
    except TROUBLE as error:
        raise UserError(f"push {name} to {api.endpoint} failed: {_told(error)} (the export is in {folder})") from error
    return f"{api.endpoint}/{name}"


def _told(error: Exception) -> str:
    """Status and words of the hub, or what else went wrong."""
    if isinstance(error, HfHubHTTPError) and error.server_message:
        return f"{error.response.status_code} {error.response.reason_phrase}: {' '.join(error.server_message.split())}"
    return " ".join(str(error).split())[:300] or type(error).__name__
