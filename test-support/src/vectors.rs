//! Where the files with test vectors are.

use std::path::{Path, PathBuf};

/// The folder of the vectors: `HUSHWOOD_VECTORS` if it is set, or `../shared/vectors` beside the
/// workspace. `None`, with a note, where it is absent.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("HUSHWOOD_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("no vectors at {}: skipped (set HUSHWOOD_VECTORS)", folder.display());
    None
}
