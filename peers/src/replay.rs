//! Following a conversation from a file: the working group's `passive-client-*.json`, theirs or ours.
//!
//! A client gets the private keys that a vector tells, joins by its Welcome, and processes its messages; after each
//! commit its epoch authenticator must be the file's. The other formats of the working group are read by no peer:
//! what they are about is not in the peers' public interfaces.

use std::{fs, path::Path};

use serde::Deserialize;

use crate::{
    peer::{CipherSuite, ClientKeys, Outcome, Peer, PeerError},
    run::{Verdict, guarded},
    world::Halt,
};

/// The files, by their stems.
pub const FILES: [&str; 3] =
    ["passive-client-welcome", "passive-client-handling-commit", "passive-client-random"];

/// How one vector went with one peer.
pub struct Replayed<'a> {
    /// The stem of the file.
    pub file: &'static str,
    /// The place in the file, from 0.
    pub number: usize,
    /// Its suite.
    pub suite: CipherSuite,
    /// Who followed.
    pub peer: &'a str,
    /// How far.
    pub verdict: Verdict,
}

/// Has each peer follow each vector of a folder.
///
/// # Errors
/// What is wrong with a file.
pub fn replay<'a>(peers: &[&'a dyn Peer], folder: &Path) -> Result<Vec<Replayed<'a>>, String> {
    let mut replayed = Vec::new();
    for file in FILES {
        let path = folder.join(file).with_extension("json");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let vectors: Vec<Vector> =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if vectors.is_empty() {
            return Err(format!("{}: no vectors", path.display()));
        }
        for (number, vector) in vectors.iter().enumerate() {
            for peer in peers {
                let verdict = guarded(|| vector.follow(*peer).map_err(|error| (halt(error), Vec::new())));
                let suite = CipherSuite(vector.cipher_suite);
                replayed.push(Replayed { file, number, suite, peer: peer.name(), verdict });
            }
        }
    }
    Ok(replayed)
}

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    external_psks: Vec<ExternalPsk>,
    key_package: Hex,
    signature_priv: Hex,
    encryption_priv: Hex,
    init_priv: Hex,
    welcome: Hex,
    ratchet_tree: Option<Hex>,
    initial_epoch_authenticator: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct ExternalPsk {
    psk_id: Hex,
    psk: Hex,
}

#[derive(Deserialize)]
struct Epoch {
    proposals: Vec<Hex>,
    commit: Hex,
    epoch_authenticator: Hex,
}

impl Vector {
    fn follow(&self, peer: &dyn Peer) -> Result<(), PeerError> {
        let suite = CipherSuite(self.cipher_suite);
        if !peer.suites().contains(&suite) {
            return Err(PeerError::Unsupported("lacks the suite"));
        }
        let keys = ClientKeys {
            key_package: self.key_package.0.clone(),
            signature: self.signature_priv.0.clone(),
            encryption: self.encryption_priv.0.clone(),
            init: self.init_priv.0.clone(),
        };
        let mut member = peer.client_with(suite, &keys)?;
        for psk in &self.external_psks {
            member.add_psk(&psk.psk_id.0, &psk.psk.0)?;
        }
        member.join(&self.welcome.0, self.ratchet_tree.as_ref().map(|tree| tree.0.as_slice()))?;
        let same = |what: String, ours: Vec<u8>, expected: &Hex| match ours == expected.0 {
            true => Ok(()),
            false => Err(PeerError::Failed(format!("{what}: another epoch authenticator"))),
        };
        same("joined".into(), member.view()?.epoch_authenticator, &self.initial_epoch_authenticator)?;
        for (number, epoch) in self.epochs.iter().enumerate() {
            for proposal in &epoch.proposals {
                match member.process(&proposal.0)? {
                    Outcome::Proposal(_) => {}
                    other => return Err(PeerError::failed("not a proposal", other)),
                }
            }
            match member.process(&epoch.commit.0).map_err(|error| at(number, error))? {
                Outcome::Commit { .. } => {}
                other => return Err(PeerError::failed("not a commit", other)),
            }
            let what = format!("epoch {number}");
            same(what, member.view()?.epoch_authenticator, &epoch.epoch_authenticator)?;
        }
        Ok(())
    }
}

fn halt(error: PeerError) -> Halt {
    match error {
        PeerError::Failed(detail) => Halt::Diverged(detail),
        other @ (PeerError::Defect(_) | PeerError::Unsupported(_)) => Halt::NotAvailable(other.to_string()),
    }
}

fn at(epoch: usize, error: PeerError) -> PeerError {
    match error {
        PeerError::Failed(detail) => PeerError::Failed(format!("epoch {epoch}: {detail}")),
        other @ (PeerError::Defect(_) | PeerError::Unsupported(_)) => other,
    }
}

/// Bytes, in hexadecimal.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}
