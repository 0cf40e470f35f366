//! The passphrase or key file of a home: from the command line, the environment, or a person.

use std::io;
use std::path::Path;

use hushwood_crypto::{Random, Secret};
use hushwood_store::Unlock;
use unicode_normalization::UnicodeNormalization;

use crate::args::Global;
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::output::Output;
use crate::system::{self, OsRandom};
use crate::text;

const VARIABLE: &str = "HUSHWOOD_PASSPHRASE";
/// The passphrase that takes the place of the old one.
const NEW_VARIABLE: &str = "HUSHWOOD_NEW_PASSPHRASE";

/// What opens a home that exists.
pub(crate) fn existing(global: &Global) -> Result<Unlock, Failure> {
    if let Some(path) = global.key_file() {
        if path.is_file() && system::open_to_others(&path).unwrap_or(false) {
            let output = Output { json: global.json };
            output.remark(format!(
                "others may use {0}: chmod 600 {0}",
                text::shell_word(&path.display().to_string())
            ));
        }
        return key_file(&path);
    }
    match from_environment(VARIABLE)? {
        Some(passphrase) => Ok(Unlock::Passphrase(passphrase)),
        None => ask("Passphrase: ").map(Unlock::Passphrase),
    }
}

/// What shall open a home that is about to be made.
pub(crate) fn fresh(global: &Global) -> Result<Unlock, Failure> {
    chosen(global.key_file().as_deref(), VARIABLE)
}

/// What shall open a home from now on.
pub(crate) fn replacement(key_file: Option<&Path>) -> Result<Unlock, Failure> {
    chosen(key_file, NEW_VARIABLE)
}

/// A key file that is not there is made; a passphrase that a person types is asked for twice.
fn chosen(key_file_path: Option<&Path>, variable: &'static str) -> Result<Unlock, Failure> {
    if let Some(path) = key_file_path {
        // `-` is standard input, of which there is no other.
        if path != Path::new("-") && path.symlink_metadata().is_err() {
            make_key_file(path)?;
        }
        return key_file(path);
    }
    if let Some(passphrase) = from_environment(variable)? {
        return not_empty(passphrase).map(Unlock::Passphrase);
    }
    let passphrase = not_empty(ask("New passphrase: ")?)?;
    let again = ask("The same again: ")?;
    if !passphrase.ct_eq(&again) {
        return Err(Failure::locked("the two passphrases differ").advise("try again"));
    }
    Ok(Unlock::Passphrase(passphrase))
}

fn key_file(path: &Path) -> Result<Unlock, Failure> {
    let secret = match files::read(Some(path)) {
        Ok(bytes) => Secret::new(bytes),
        Err(failure) => {
            return Err(Failure::locked(failure.message()).advise(
                "name the file that the home was made with, or leave `--key-file` out for a passphrase",
            ));
        }
    };
    // A line end is not part of the key: editors and transfers change it.
    let key = Secret::copy_of(secret.expose().trim_ascii_end());
    if key.len() < 32 {
        return Err(Failure::locked(format!("the key in {} is shorter than 32 bytes", path.display()))
            .advise("name another file; `hushwood identity new` makes one where there is none"));
    }
    Ok(Unlock::KeyFile(key))
}

/// 256 random bits in hexadecimal, so that it can also be printed and typed.
fn make_key_file(path: &Path) -> Result<(), Failure> {
    let random: &mut dyn Random = &mut OsRandom;
    let key = random.secret(32).map_err(hushwood::error::Error::from)?;
    let line = Secret::new(format!("{}\n", text::hex(key.expose())).into_bytes());
    files::write(path, line.expose(), Readers::Owner, false)
}

fn from_environment(variable: &str) -> Result<Option<Secret>, Failure> {
    let Some(value) = std::env::var_os(variable) else { return Ok(None) };
    // Not taken for "ask": a script that means to set it would wait for ever.
    if value.is_empty() {
        return Err(Failure::locked(format!("{variable} is empty"))
            .advise(format!("set it, or `unset {variable}` to be asked for the passphrase")));
    }
    let value = value.into_string().map_err(|_| {
        Failure::locked(format!("{variable} is not UTF-8"))
            .advise("use `--key-file` for keys that are no text")
    })?;
    Ok(Some(normalised(value)))
}

fn ask(prompt: &str) -> Result<Secret, Failure> {
    let answer = rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => {
            Failure::locked("no passphrase was given").advise("try again, and type it")
        }
        _ => Failure::locked("the home is locked and there is no terminal to ask for its passphrase")
            .advise(format!("set {VARIABLE}, or name a key file with `--key-file FILE`")),
    })?;
    Ok(normalised(answer))
}

fn not_empty(passphrase: Secret) -> Result<Secret, Failure> {
    match passphrase.is_empty() {
        true => Err(Failure::locked("an empty passphrase protects nothing").advise("choose several words")),
        false => Ok(passphrase),
    }
}

/// The same passphrase is the same bytes on every keyboard: Unicode's form NFC.
fn normalised(text: String) -> Secret {
    let text = Secret::new(text.into_bytes());
    let shown = String::from_utf8_lossy(text.expose());
    // Long enough not to grow, which would leave a copy behind.
    let mut normal = String::with_capacity(shown.len().saturating_mul(4));
    normal.extend(shown.nfc());
    Secret::new(normal.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_letters_are_the_same_passphrase() {
        let composed = normalised("caf\u{e9}".to_owned());
        assert!(composed.ct_eq(&normalised("cafe\u{301}".to_owned())));
        assert!(!composed.ct_eq(&normalised("cafe".to_owned())));
    }
}
