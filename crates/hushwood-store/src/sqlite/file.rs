//! The file on disk: made for its owner's eyes only, before anything is in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Makes an empty file that only its owner may read. SQLite gives its `-wal` and `-shm` the same mode.
/// One that is there already stays as it is.
pub(super) fn create(path: &Path) -> io::Result<()> {
    match new_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        // A file without a name after a loss of power would be a store without its keys.
        Ok(_) => sync_folder(path),
    }
}

#[cfg(unix)]
fn new_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Names in a folder have reached the disk when this returns.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// That the log is empty has reached the disk when this returns. SQLite does not see to it, since what is in the log is in the
/// file too. But what was erased is in the log as well; and where the system has lost a part of the log, the rest would
/// count instead of the file.
///
/// SQLite has no locks on this file that could be lost by closing it.
pub(super) fn sync_log(path: &Path) -> io::Result<()> {
    match OpenOptions::new().read(true).write(true).open(with_suffix(path, "-wal")) {
        Ok(log) => log.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes from others what a copy or a careless tool has given them.
#[cfg(unix)]
pub(super) fn restrict(path: &Path) -> io::Result<()> {
    restrict_file(path)?;
    for suffix in ["-wal", "-shm"] {
        match restrict_file(&with_suffix(path, suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// The same for one file.
#[cfg(unix)]
pub(super) fn restrict_file(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)?.permissions().mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700)),
    }
}

#[cfg(not(unix))]
pub(super) fn restrict(path: &Path) -> io::Result<()> {
    restrict_file(path)
}

#[cfg(not(unix))]
pub(super) fn restrict_file(path: &Path) -> io::Result<()> {
    std::fs::metadata(path).map(|_| ())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
