"""Put an exported folder on the Hugging Face hub."""

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from petl_modules.backbones import is_path
from petl_modules.utils import DownloadError, ExportError, HparamsError, brief

OWN = {".gitattributes"}  # what the hub itself puts into a new repository


def require_free(name, overwrite=False):
    """Check, before long work, that nothing on the hub is written over.

    Arguments
    ---------
    name : str
        ``owner/name``.
    overwrite : bool
        Whether files there may be replaced.

    Raises
    ------
    HparamsError
        If it is no such name.
    ExportError
        If there are files.
    DownloadError
        If the hub cannot be asked.
    """
    if is_path(name):
        raise HparamsError(
            f"'{name}' is no name for the Hugging Face hub, such as owner/name, "
            "or its first part is a folder here"
        )
    try:
        # Asks once; list_repo_files asks six times, and logs each
        files = HfApi().model_info(name).siblings or []
        there = {file.rfilename for file in files} - OWN
    except RepositoryNotFoundError:  # it will be made
        return
    except Exception as error:  # the client's and the network's own
        raise _failure(name, error) from error
    if there and not overwrite:
        raise ExportError(
            f"{name} on the Hugging Face hub has files already, such as "
            f"{min(there)}: name a new one, or say --overwrite to replace "
            "those of the same names"
        )


def push_to_hub(folder, name, private=False, overwrite=False):
    """Upload a folder as one commit; the repository is made if need be.

    The client takes the token of ``hf auth login`` or ``HF_TOKEN``.

    Arguments
    ---------
    folder : str or pathlib.Path
        What ``petl_modules.export`` has written.
    name : str
        ``owner/name``.
    private : bool
        Whether a new repository is private. If not, the owner's default holds.
    overwrite : bool
        Whether files of the same names there are replaced.

    Returns
    -------
    str
        The commit's address.

    Raises
    ------
    UserError
        See ``require_free``; or the hub refuses.
    """
    require_free(name, overwrite)
    api = HfApi()
    try:
        api.create_repo(name, private=private or None, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message="Upload a model of petl_modules",
        )
    except Exception as error:  # the client's and the network's own
        raise _failure(name, error) from error
    return commit.commit_url


def _failure(name, error):
    """Return the error of a hub that cannot be used."""
    return DownloadError(
        f"{name} on the Hugging Face hub cannot be used: {brief(error)}. Is "
        "there a connection, and a token that may write (hf auth login)?"
    )
