//! What is known of a group is sealed under a key that the service does not keep.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use crate::service::{random_array, unavailable};
use crate::wire::{GroupKey, Refusal};

const NONCE: usize = 24;

/// What a sealed thing is, so that one can't stand in the place of another.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Snapshot,
    GroupInfo,
    Handshake,
}

impl What {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Snapshot => b"snapshot",
            Self::GroupInfo => b"group info",
            Self::Handshake => b"handshake",
        }
    }
}

/// Seals for a group and an epoch.
pub(super) fn seal(
    key: &GroupKey,
    (group, what, epoch): (&[u8], What, u64),
    content: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let nonce: [u8; NONCE] = random_array()?;
    let mut sealed = content.to_vec();
    XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt_in_place(&XNonce::from(nonce), &place(group, what, epoch), &mut sealed)
        .map_err(|_| unavailable("sealing failed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens what was sealed; with another key it does not open.
pub(super) fn open(
    key: &GroupKey,
    (group, what, epoch): (&[u8], What, u64),
    sealed: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let refused = || Refusal::Forbidden("this is not the group's key");
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(refused)?;
    let mut content = sealed.to_vec();
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt_in_place(&XNonce::from(*nonce), &place(group, what, epoch), &mut content)
        .map_err(|_| refused())?;
    Ok(content)
}

fn place(group: &[u8], what: What, epoch: u64) -> Vec<u8> {
    [what.label(), &[0], &epoch.to_be_bytes(), group].concat()
}
