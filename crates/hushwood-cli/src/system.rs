//! What differs between operating systems, in one place.

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use hushwood_crypto::CryptoProvider;

pub(crate) use hushwood_rustcrypto::OsRandom;

/// The cryptography of this program: the native provider.
pub(crate) static PROVIDER: &CryptoProvider = &hushwood_aws_lc::PROVIDER;

/// Makes a new file readable and writable by its owner only.
#[cfg(unix)]
pub(crate) fn owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// Elsewhere a file inherits who may read it from its folder.
#[cfg(not(unix))]
pub(crate) fn owner_only(_: &mut OpenOptions) {}

/// Makes a folder, and those above it, that only its owner may enter.
#[cfg(unix)]
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Elsewhere a folder inherits who may enter it: in `%APPDATA%`, its owner.
#[cfg(not(unix))]
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// True if others than the owner may do anything with it.
#[cfg(unix)]
pub(crate) fn open_to_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(path.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Elsewhere there are no bits to look at.
#[cfg(not(unix))]
pub(crate) fn open_to_others(path: &Path) -> io::Result<bool> {
    path.metadata().map(|_| false)
}

/// Takes from others what they may do with it.
#[cfg(unix)]
pub(crate) fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.metadata()?.permissions().mode() & 0o700;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Elsewhere the folder above decides.
#[cfg(not(unix))]
pub(crate) fn close_to_others(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Lets this program open as many files as it may: each connection of a server is one. Gives how many that is.
#[cfg(unix)]
pub(crate) fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_open_files() -> Option<u64> {
    None
}

/// Where programs keep the user's data, as the platform has it; `get` reads the environment.
pub(crate) fn data_folder(get: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // The XDG base directory specification: a relative path is to be ignored.
    if let Some(path) = absolute("XDG_DATA_HOME") {
        return Some(path);
    }
    if cfg!(windows) {
        return absolute("APPDATA");
    }
    let home = absolute("HOME")?;
    Some(if cfg!(target_os = "macos") {
        home.join("Library/Application Support")
    } else {
        home.join(".local/share")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_data_folder_is_the_platforms() {
        let folder = |xdg: Option<&str>, home: Option<&str>| {
            data_folder(|name| match name {
                "XDG_DATA_HOME" => xdg.map(Into::into),
                "HOME" => home.map(Into::into),
                _ => None,
            })
        };
        assert_eq!(folder(Some("/data"), Some("/home/a")), Some("/data".into()));
        assert_eq!(folder(Some("data"), Some("/home/a")), Some("/home/a/.local/share".into()));
        assert_eq!(folder(None, Some("/home/a")), Some("/home/a/.local/share".into()));
        assert_eq!(folder(None, None), None);
    }
}
