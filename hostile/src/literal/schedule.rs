//! RFC 9420 §8, §9: the key schedule and the secret tree, from the RFC.

use hushwood::schedule::PreSharedKeyId;

use super::crypto::{Key, Suite, derive, expand, extract, mac, written};

/// The secrets of one epoch (§8, Table 4).
#[derive(Clone, Default)]
pub struct Epoch {
    /// `init_secret`, for the next epoch.
    pub init: Vec<u8>,
    /// `sender_data_secret`.
    pub sender_data: Vec<u8>,
    /// `encryption_secret`: the root of the secret tree.
    pub encryption: Vec<u8>,
    /// `exporter_secret`.
    pub exporter: Vec<u8>,
    /// `external_secret`.
    pub external: Vec<u8>,
    /// `confirmation_key`.
    pub confirmation: Vec<u8>,
    /// `membership_key`.
    pub membership: Vec<u8>,
    /// `resumption_psk`.
    pub resumption: Vec<u8>,
    /// `epoch_authenticator`.
    pub authenticator: Vec<u8>,
}

/// `joiner_secret`: of the last epoch's init secret and the commit secret (§8).
pub fn joiner_secret(suite: Suite, init: &[u8], commit: &[u8], context: &[u8]) -> Vec<u8> {
    expand(suite, &extract(suite, init, commit), "joiner", context, suite.kdf().length())
}

/// What stands between `joiner_secret` and `epoch_secret` (§8).
pub fn intermediate_secret(suite: Suite, joiner: &[u8], psk: &[u8]) -> Vec<u8> {
    extract(suite, joiner, psk)
}

/// `welcome_key` and `welcome_nonce` (§12.4.3.1).
pub fn welcome_keys(suite: Suite, intermediate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let secret = derive(suite, intermediate, "welcome");
    let (key, nonce) = (suite.aead().key_length(), suite.aead().nonce_length());
    (expand(suite, &secret, "key", b"", key), expand(suite, &secret, "nonce", b"", nonce))
}

impl Epoch {
    /// From `epoch_secret`.
    pub fn of(suite: Suite, epoch_secret: &[u8]) -> Self {
        let of = |label| derive(suite, epoch_secret, label);
        Self {
            init: of("init"),
            sender_data: of("sender data"),
            encryption: of("encryption"),
            exporter: of("exporter"),
            external: of("external"),
            confirmation: of("confirm"),
            membership: of("membership"),
            resumption: of("resumption"),
            authenticator: of("authentication"),
        }
    }

    /// From what stands before `epoch_secret`, and the encoded GroupContext.
    pub fn after(suite: Suite, intermediate: &[u8], context: &[u8]) -> Self {
        Self::of(suite, &expand(suite, intermediate, "epoch", context, suite.kdf().length()))
    }

    /// `confirmation_tag` (§6.1).
    pub fn tag(&self, suite: Suite, confirmed_transcript_hash: &[u8]) -> Vec<u8> {
        mac(suite, &self.confirmation, confirmed_transcript_hash)
    }

    /// The key pair for external commits (§8.3).
    pub fn external_key(&self, suite: Suite) -> Key {
        Key::derived(suite, &self.external)
    }

    /// `MLS-Exporter(Label, Context, Length)` (§8.5).
    pub fn export(&self, suite: Suite, label: &str, context: &[u8], length: usize) -> Vec<u8> {
        let context = super::crypto::hash(suite, context);
        expand(suite, &derive(suite, &self.exporter, label), "exported", &context, length)
    }

    /// Key and nonce of one generation of a leaf's ratchet (§9, §9.1): `kind` is "handshake" or "application".
    pub fn message_key(
        &self,
        suite: Suite,
        (width, leaf): (usize, usize),
        kind: &str,
        generation: u32,
    ) -> (Vec<u8>, Vec<u8>) {
        let length = suite.kdf().length();
        let mut secret = self.encryption.clone();
        let mut half = width / 2;
        let mut first = 0;
        while half > 0 {
            let side: &[u8] = if leaf < first + half { b"left" } else { b"right" };
            if side == b"right" {
                first += half;
            }
            secret = expand(suite, &secret, "tree", side, length);
            half /= 2;
        }
        let mut secret = expand(suite, &secret, kind, b"", length);
        for earlier in 0..generation {
            secret = expand(suite, &secret, "secret", &earlier.to_be_bytes(), length);
        }
        let (key, nonce) = (suite.aead().key_length(), suite.aead().nonce_length());
        let generation = generation.to_be_bytes();
        (expand(suite, &secret, "key", &generation, key), expand(suite, &secret, "nonce", &generation, nonce))
    }
}

/// `psk_secret` (§8.4).
pub fn psk_secret(suite: Suite, psks: &[(PreSharedKeyId, Vec<u8>)]) -> Vec<u8> {
    let length = suite.kdf().length();
    let zero = vec![0; length];
    let count = u16::try_from(psks.len()).unwrap_or(u16::MAX);
    let mut secret = zero.clone();
    for ((id, psk), index) in psks.iter().zip(0_u16..) {
        let label = written(|w| _ = w.value(id).value(&index).value(&count));
        let input = expand(suite, &extract(suite, &zero, psk), "derived psk", &label, length);
        secret = extract(suite, &input, &secret);
    }
    secret
}
