//! RFC 9180: hybrid public key encryption, in the modes that MLS and its applications use: base and PSK,
//! each with seal, open and export.
//!
//! A context's key schedule hashes the whole `info`. In MLS that is the encoded GroupContext or
//! GroupInfo, megabytes at times, and the same for every recipient: [`HpkeInfo`] hashes it once.

use std::fmt;

use hushwood_codec::wire_struct;

use crate::label::labelled_without_content;
use crate::{CipherSuite, CryptoError, HpkePrivateKey, HpkePublicKey, Random, Secret};

wire_struct! {
    /// `HPKECiphertext` (RFC 9420 §7.6): an encapsulated key and what is sealed under it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct HpkeCiphertext {
        /// The KEM's output, `enc` in RFC 9180.
        pub kem_output: Vec<u8>,
        /// The AEAD ciphertext.
        pub ciphertext: Vec<u8>,
    }
}

/// An `info` string, hashed once for any number of recipients (RFC 9180 §5.1, base mode).
pub struct HpkeInfo<'s> {
    suite: &'s dyn CipherSuite,
    /// `mode || psk_id_hash || info_hash`.
    key_schedule_context: Vec<u8>,
}

impl<'s> HpkeInfo<'s> {
    /// Prepares `EncryptContext { label, context }` (RFC 9420 §5.1.3). The label is given without its
    /// "MLS 1.0 " prefix.
    ///
    /// # Errors
    /// [`CryptoError::Length`] if `context` is longer than a vector can be.
    pub fn new(suite: &'s dyn CipherSuite, label: &str, context: &[u8]) -> Result<Self, CryptoError> {
        // The context may be megabytes long: it is hashed where it is.
        let label = labelled_without_content(label, context.len()).ok_or(CryptoError::Length)?;
        let key_schedule_context = key_schedule_context(suite, Mode::Base, &[&label, context], b"");
        Ok(Self { suite, key_schedule_context })
    }

    /// Prepares an `info` as it is.
    #[must_use]
    pub fn raw(suite: &'s dyn CipherSuite, info: &[u8]) -> Self {
        Self { suite, key_schedule_context: key_schedule_context(suite, Mode::Base, &[info], b"") }
    }

    /// `SealBase(pkR, info, "", plaintext)` (RFC 9180 §6.1).
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`], [`CryptoError::Random`], [`CryptoError::InputTooLong`].
    pub fn seal(
        &self,
        key: &HpkePublicKey,
        plaintext: &[u8],
        random: &mut dyn Random,
    ) -> Result<HpkeCiphertext, CryptoError> {
        let (shared_secret, kem_output) = self.suite.kem().encap(key, random)?;
        let keys = self.keys(&shared_secret)?;
        let ciphertext = self.suite.aead().seal(keys.key.expose(), keys.nonce.expose(), b"", plaintext)?;
        Ok(HpkeCiphertext { kem_output, ciphertext })
    }

    /// `OpenBase(enc, skR, info, "", ct)` (RFC 9180 §6.1).
    ///
    /// # Errors
    /// [`CryptoError::Open`], for a bad encapsulation and a bad ciphertext alike.
    pub fn open(&self, key: &HpkePrivateKey, ciphertext: &HpkeCiphertext) -> Result<Secret, CryptoError> {
        let shared_secret = self.suite.kem().decap(&ciphertext.kem_output, key)?;
        let keys = self.keys(&shared_secret)?;
        self.suite.aead().open(keys.key.expose(), keys.nonce.expose(), b"", &ciphertext.ciphertext)
    }

    fn keys(&self, shared_secret: &Secret) -> Result<Keys, CryptoError> {
        Keys::derive(self.suite, shared_secret, &self.key_schedule_context, b"")
    }
}

impl fmt::Debug for HpkeInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HpkeInfo").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// A pre-shared key and its identifier, for the PSK mode (RFC 9180 §5.1.2).
#[derive(Clone, Copy, Debug)]
pub struct Psk<'a> {
    /// The key; at least 32 bytes of entropy, so no fewer bytes.
    pub key: &'a Secret,
    /// Its identifier; not empty.
    pub id: &'a [u8],
}

impl Psk<'_> {
    /// `VerifyPSKInputs(mode_psk, psk, psk_id)` (RFC 9180 §5.1): both are there, or the mode would promise a
    /// secret that nobody has; and the key is as long as §5.1.2 asks.
    fn check(&self) -> Result<(), CryptoError> {
        let good = self.key.len() >= SHORTEST_PSK && !self.id.is_empty();
        if good { Ok(()) } else { Err(CryptoError::PreSharedKey) }
    }
}

const SHORTEST_PSK: usize = 32;

/// An encryption context shared by a sender and a receiver (RFC 9180 §5.2, §5.3).
///
/// Each end has its own; messages are opened in the order in which they were sealed.
pub struct HpkeContext<'s> {
    suite: &'s dyn CipherSuite,
    keys: Keys,
    exporter_secret: Secret,
    sequence: u64,
}

impl<'s> HpkeContext<'s> {
    /// `SetupBaseS(pkR, info)`, or `SetupPSKS` with a PSK: the encapsulation to send, and the context.
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`], [`CryptoError::Random`], [`CryptoError::PreSharedKey`].
    pub fn sender(
        suite: &'s dyn CipherSuite,
        key: &HpkePublicKey,
        info: &[u8],
        psk: Option<Psk<'_>>,
        random: &mut dyn Random,
    ) -> Result<(Vec<u8>, Self), CryptoError> {
        let (shared_secret, encapsulation) = suite.kem().encap(key, random)?;
        Ok((encapsulation, Self::new(suite, &shared_secret, info, psk)?))
    }

    /// `SetupBaseR(enc, skR, info)`, or `SetupPSKR` with a PSK.
    ///
    /// # Errors
    /// [`CryptoError::Open`] for an encapsulation that is not allowed; [`CryptoError::PreSharedKey`].
    pub fn receiver(
        suite: &'s dyn CipherSuite,
        encapsulation: &[u8],
        key: &HpkePrivateKey,
        info: &[u8],
        psk: Option<Psk<'_>>,
    ) -> Result<Self, CryptoError> {
        let shared_secret = suite.kem().decap(encapsulation, key)?;
        Self::new(suite, &shared_secret, info, psk)
    }

    fn new(
        suite: &'s dyn CipherSuite,
        shared_secret: &Secret,
        info: &[u8],
        psk: Option<Psk<'_>>,
    ) -> Result<Self, CryptoError> {
        psk.as_ref().map_or(Ok(()), Psk::check)?;
        let mode = if psk.is_some() { Mode::Psk } else { Mode::Base };
        let (psk, psk_id) = psk.map_or((&[][..], &[][..]), |psk| (psk.key.expose(), psk.id));
        let context = key_schedule_context(suite, mode, &[info], psk_id);
        let secret = labeled_extract(suite, shared_secret.expose(), b"secret", &[psk]);
        let exporter_secret = labeled_expand(suite, &secret, b"exp", &context, suite.kdf().length())?;
        Ok(Self { suite, keys: Keys::from_secret(suite, &secret, &context)?, exporter_secret, sequence: 0 })
    }

    /// `Context.Seal(aad, pt)`.
    ///
    /// # Errors
    /// [`CryptoError::InputTooLong`], also when the context has sealed all the messages it may.
    pub fn seal(&mut self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let nonce = self.nonce()?;
        let ciphertext = self.suite.aead().seal(self.keys.key.expose(), nonce.expose(), aad, plaintext)?;
        self.advance()?;
        Ok(ciphertext)
    }

    /// `Context.Open(aad, ct)`. A failure leaves the context where it was.
    ///
    /// # Errors
    /// [`CryptoError::Open`].
    pub fn open(&mut self, aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let nonce = self.nonce()?;
        let plaintext = self.suite.aead().open(self.keys.key.expose(), nonce.expose(), aad, ciphertext)?;
        self.advance()?;
        Ok(plaintext)
    }

    /// `Context.Export(exporter_context, L)` (RFC 9180 §5.3).
    ///
    /// # Errors
    /// [`CryptoError::Length`] if `length` exceeds 255 times the KDF's output.
    pub fn export(&self, context: &[u8], length: usize) -> Result<Secret, CryptoError> {
        labeled_expand(self.suite, &self.exporter_secret, b"sec", context, length)
    }

    fn nonce(&self) -> Result<Secret, CryptoError> {
        let mut nonce = self.keys.nonce.duplicate();
        let sequence = self.sequence.to_be_bytes();
        let tail = nonce.expose_mut().iter_mut().rev().zip(sequence.iter().rev());
        tail.for_each(|(byte, sequence)| *byte ^= sequence);
        Ok(nonce)
    }

    fn advance(&mut self) -> Result<(), CryptoError> {
        self.sequence = self.sequence.checked_add(1).ok_or(CryptoError::InputTooLong)?;
        Ok(())
    }
}

impl fmt::Debug for HpkeContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HpkeContext").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// The modes of RFC 9180 §5.1 that are offered; the Auth modes are not used by MLS.
#[derive(Clone, Copy)]
enum Mode {
    Base,
    Psk,
}

/// The AEAD key and the base nonce of a context.
struct Keys {
    key: Secret,
    nonce: Secret,
}

impl Keys {
    fn derive(
        suite: &dyn CipherSuite,
        shared_secret: &Secret,
        context: &[u8],
        psk: &[u8],
    ) -> Result<Self, CryptoError> {
        let secret = labeled_extract(suite, shared_secret.expose(), b"secret", &[psk]);
        Self::from_secret(suite, &secret, context)
    }

    fn from_secret(suite: &dyn CipherSuite, secret: &Secret, context: &[u8]) -> Result<Self, CryptoError> {
        let (key, nonce) = (suite.aead().key_length(), suite.aead().nonce_length());
        let infos =
            [labeled_info(suite, b"key", context, key)?, labeled_info(suite, b"base_nonce", context, nonce)?];
        let [key_info, nonce_info] = &infos;
        let secrets = suite.kdf().expand_all(secret.expose(), &[(key_info, key), (nonce_info, nonce)])?;
        let [key, nonce] = secrets.try_into().map_err(|_| CryptoError::Provider)?;
        Ok(Self { key, nonce })
    }
}

/// `key_schedule_context` of RFC 9180 §5.1: everything of the key schedule but the shared secret.
/// The info is given in parts.
fn key_schedule_context(suite: &dyn CipherSuite, mode: Mode, info: &[&[u8]], psk_id: &[u8]) -> Vec<u8> {
    let mode = match mode {
        Mode::Base => 0_u8,
        Mode::Psk => 1,
    };
    let psk_id_hash = labeled_extract(suite, b"", b"psk_id_hash", &[psk_id]);
    let info_hash = labeled_extract(suite, b"", b"info_hash", info);
    [&[mode], psk_id_hash.expose(), info_hash.expose()].concat()
}

/// `suite_id = concat("HPKE", I2OSP(kem_id, 2), I2OSP(kdf_id, 2), I2OSP(aead_id, 2))`.
fn suite_id(suite: &dyn CipherSuite) -> [u8; 10] {
    let [kem_high, kem_low] = suite.kem().id().to_be_bytes();
    let [kdf_high, kdf_low] = suite.kdf().id().to_be_bytes();
    let [aead_high, aead_low] = suite.aead().id().to_be_bytes();
    [b'H', b'P', b'K', b'E', kem_high, kem_low, kdf_high, kdf_low, aead_high, aead_low]
}

const VERSION: &[u8] = b"HPKE-v1";

/// `LabeledExtract(salt, label, ikm)` (RFC 9180 §4).
fn labeled_extract(suite: &dyn CipherSuite, salt: &[u8], label: &[u8], ikm: &[&[u8]]) -> Secret {
    let suite_id = suite_id(suite);
    let input: Vec<&[u8]> = [VERSION, &suite_id, label].iter().chain(ikm).copied().collect();
    suite.kdf().extract(salt, &input)
}

/// `LabeledExpand(prk, label, info, L)` (RFC 9180 §4).
fn labeled_expand(
    suite: &dyn CipherSuite,
    prk: &Secret,
    label: &[u8],
    info: &[u8],
    length: usize,
) -> Result<Secret, CryptoError> {
    suite.kdf().expand(prk.expose(), &[&labeled_info(suite, label, info, length)?], length)
}

/// The `labeled_info` of it.
fn labeled_info(
    suite: &dyn CipherSuite,
    label: &[u8],
    info: &[u8],
    length: usize,
) -> Result<Vec<u8>, CryptoError> {
    let encoded_length = u16::try_from(length).map_err(|_| CryptoError::Length)?.to_be_bytes();
    Ok([&encoded_length, VERSION, &suite_id(suite), label, info].concat())
}

/// The `ExtractAndExpand` of RFC 9180 §4.1, which turns a Diffie-Hellman result into a KEM's shared
/// secret: for providers that build a DHKEM from a curve.
///
/// # Errors
/// [`CryptoError::Length`] if the KDF can't give `length` bytes.
pub fn dhkem_extract_and_expand(
    kdf: &dyn crate::Kdf,
    kem_id: u16,
    dh: &Secret,
    kem_context: &[&[u8]],
    length: usize,
) -> Result<Secret, CryptoError> {
    let suite_id = dhkem_suite_id(kem_id);
    let eae_prk = kdf.extract(b"", &[VERSION, &suite_id, b"eae_prk", dh.expose()]);
    let encoded_length = u16::try_from(length).map_err(|_| CryptoError::Length)?.to_be_bytes();
    let mut info: Vec<&[u8]> = vec![&encoded_length, VERSION, &suite_id, b"shared_secret"];
    info.extend(kem_context);
    kdf.expand(eae_prk.expose(), &info, length)
}

/// One output of the `DeriveKeyPair` of RFC 9180 §7.1.3: `label` "sk" for the X curves, or "candidate"
/// with a counter for the NIST curves.
///
/// # Errors
/// [`CryptoError::Length`] if the KDF can't give `length` bytes.
pub fn dhkem_derive(
    kdf: &dyn crate::Kdf,
    kem_id: u16,
    ikm: &[u8],
    label: (&[u8], &[u8]),
    length: usize,
) -> Result<Secret, CryptoError> {
    let suite_id = dhkem_suite_id(kem_id);
    let dkp_prk = kdf.extract(b"", &[VERSION, &suite_id, b"dkp_prk", ikm]);
    let encoded_length = u16::try_from(length).map_err(|_| CryptoError::Length)?.to_be_bytes();
    let (label, counter) = label;
    kdf.expand(dkp_prk.expose(), &[&encoded_length, VERSION, &suite_id, label, counter], length)
}

fn dhkem_suite_id(kem_id: u16) -> [u8; 5] {
    let [high, low] = kem_id.to_be_bytes();
    [b'K', b'E', b'M', high, low]
}
