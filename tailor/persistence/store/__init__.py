"""A store of personalised models, whatever place it is kept in."""

from .exporting import ExportReport, export_archive
from .history import common_ancestors
from .importing import ImportReport, import_archive
from .names import head_key, name_of, object_key, pruned_key, quoted, replaced_key, tag_key, unquoted
from .pointers import KeptHead
from .policy import Policy, kept
from .prune import PruneReport, prune_store
from .refresh import copy_object
from .replacing import keep_replacement, remove_snapshot, replace_snapshot, replacement, replacements
from .rollback import rollback
from .store import Store
from .tags import remove_tag, tag_version, tags_of
from .verify import Problem, VerifyReport, verify_store

__all__ = [
    "ExportReport",
    "ImportReport",
    "KeptHead",
    "Policy",
    "Problem",
    "PruneReport",
    "Store",
    "VerifyReport",
    "common_ancestors",
    "copy_object",
    "export_archive",
    "head_key",
    "import_archive",
    "keep_replacement",
    "kept",
    "name_of",
    "object_key",
    "prune_store",
    "pruned_key",
    "quoted",
    "remove_snapshot",
    "remove_tag",
    "replace_snapshot",
    "replaced_key",
    "replacement",
    "replacements",
    "rollback",
    "tag_key",
    "tag_version",
    "tags_of",
    "unquoted",
    "verify_store",
]
