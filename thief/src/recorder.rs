//! A provider that tells of every secret that goes through it.
//!
//! Nothing is missed on purpose: the KEMs are built anew around a recorded KDF and recorded Diffie-Hellman, so what
//! HPKE derives on its way is told, too. What is drawn at random is told of as soon as something is derived from it,
//! encrypted with it, or sealed; before that it is no secret of anything.
//!
//! Events go to the notes of the thread, if it takes notes ([`noted`]), or else into the stream of the process
//! ([`stream_to`]).

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use hushwood_crypto::dhkem::{Dhkem, DiffieHellman};
use hushwood_crypto::{
    Aead, CipherSuite, CryptoError, CryptoProvider, Digest, HpkePrivateKey, HpkePublicKey, Kdf, Kem,
    Primitives, Random, Secret, Suite,
};

use crate::event::{self, Event, Kind};

thread_local! {
    static NOTES: RefCell<Option<Vec<Event>>> = const { RefCell::new(None) };
}

static STREAM: Mutex<Option<UnixStream>> = Mutex::new(None);

/// From now on, what no thread notes for itself goes here.
pub fn stream_to(stream: UnixStream) {
    *STREAM.lock().unwrap() = Some(stream);
}

/// Does something, and gives what this thread has told of meanwhile.
pub fn noted<T>(what: impl FnOnce() -> T) -> (T, Vec<Event>) {
    NOTES.set(Some(Vec::new()));
    let done = what();
    (done, NOTES.take().unwrap_or_default())
}

/// Tells of an event.
pub fn note(kind: Kind, parts: &[&[u8]]) {
    let noted = NOTES
        .with_borrow_mut(|notes| notes.as_mut().map(|notes| notes.push(Event::of(kind, parts))).is_some());
    if noted {
        return;
    }
    if let Some(stream) = &mut *STREAM.lock().unwrap() {
        event::write(stream, kind, parts).unwrap();
    }
}

/// AWS-LC, recorded.
#[must_use]
pub fn aws_lc() -> CryptoProvider {
    let kems = [
        &hushwood_aws_lc::DHKEM_X25519,
        &hushwood_rustcrypto::DHKEM_X448,
        &hushwood_aws_lc::DHKEM_P256,
        &hushwood_aws_lc::DHKEM_P384,
        &hushwood_aws_lc::DHKEM_P521,
    ];
    recorded("aws-lc", hushwood_aws_lc::PRIMITIVES, kems)
}

/// The provider in Rust alone, recorded.
#[must_use]
pub fn rustcrypto() -> CryptoProvider {
    let kems = [
        &hushwood_rustcrypto::DHKEM_X25519,
        &hushwood_rustcrypto::DHKEM_X448,
        &hushwood_rustcrypto::DHKEM_P256,
        &hushwood_rustcrypto::DHKEM_P384,
        &hushwood_rustcrypto::DHKEM_P521,
    ];
    recorded("rustcrypto", hushwood_rustcrypto::PRIMITIVES, kems)
}

/// What this makes lives as long as the process.
fn recorded(name: &'static str, primitives: Primitives, kems: [&'static Dhkem; 5]) -> CryptoProvider {
    let kdf = |kdf: &'static dyn Kdf| -> &'static dyn Kdf { leak(RecordedKdf(kdf)) };
    let aead = |aead: &'static dyn Aead| -> &'static dyn Aead { leak(RecordedAead(aead)) };
    let [sha256, sha384, sha512] =
        [primitives.hkdf_sha256, primitives.hkdf_sha384, primitives.hkdf_sha512].map(kdf);
    // RFC 9180 §7.1: the KDF that belongs to each.
    let kdfs = [sha256, sha512, sha256, sha384, sha512];
    let mut kems = kems.iter().zip(kdfs).map(|(kem, kdf)| -> &'static dyn Kem {
        let arithmetic = leak(RecordedGroup(kem.arithmetic()));
        leak(RecordedKem(leak(Dhkem::new(kem.group(), kdf, arithmetic))))
    });
    let mut kem = || kems.next().unwrap();
    let recorded = Primitives {
        hkdf_sha256: sha256,
        hkdf_sha384: sha384,
        hkdf_sha512: sha512,
        aes_128_gcm: aead(primitives.aes_128_gcm),
        aes_256_gcm: aead(primitives.aes_256_gcm),
        chacha20_poly1305: aead(primitives.chacha20_poly1305),
        dhkem_x25519: kem(),
        dhkem_x448: kem(),
        dhkem_p256: kem(),
        dhkem_p384: kem(),
        dhkem_p521: kem(),
        ..primitives
    };
    let suites: &'static [Suite] = leak(recorded.suites());
    let suites: Vec<&'static dyn CipherSuite> =
        suites.iter().map(|suite| -> &'static dyn CipherSuite { suite }).collect();
    CryptoProvider { name, suites: suites.leak() }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

struct RecordedKdf(&'static dyn Kdf);

impl Kdf for RecordedKdf {
    fn id(&self) -> u16 {
        self.0.id()
    }
    fn length(&self) -> usize {
        self.0.length()
    }
    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret {
        let secret = self.0.extract(salt, ikm);
        let parts: Vec<&[u8]> = [salt].iter().chain(ikm).copied().chain([secret.expose()]).collect();
        note(Kind::Extract, &parts);
        secret
    }
    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
        let secret = self.0.expand(prk, info, length)?;
        note(Kind::Expand, &[prk, &info.concat(), secret.expose()]);
        Ok(secret)
    }
    fn expand_all(&self, prk: &[u8], outputs: &[(&[u8], usize)]) -> Result<Vec<Secret>, CryptoError> {
        let secrets = self.0.expand_all(prk, outputs)?;
        for ((info, _), secret) in outputs.iter().zip(&secrets) {
            note(Kind::Expand, &[prk, info, secret.expose()]);
        }
        Ok(secrets)
    }
    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest {
        self.0.mac(key, data)
    }
}

struct RecordedAead(&'static dyn Aead);

impl Aead for RecordedAead {
    fn id(&self) -> u16 {
        self.0.id()
    }
    fn key_length(&self) -> usize {
        self.0.key_length()
    }
    fn nonce_length(&self) -> usize {
        self.0.nonce_length()
    }
    fn tag_length(&self) -> usize {
        self.0.tag_length()
    }
    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let ciphertext = self.0.seal(key, nonce, aad, plaintext)?;
        note(Kind::Seal, &[key, nonce, plaintext]);
        Ok(ciphertext)
    }
    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        match self.0.open(key, nonce, aad, ciphertext) {
            Ok(plaintext) => {
                note(Kind::Open, &[key, nonce, plaintext.expose()]);
                Ok(plaintext)
            }
            Err(error) => {
                note(Kind::Refused, &[key, nonce]);
                Err(error)
            }
        }
    }
}

struct RecordedGroup(&'static dyn DiffieHellman);

impl DiffieHellman for RecordedGroup {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.public_key(private)
    }
    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let shared = self.0.agree(private, public)?;
        note(Kind::Agree, &[private, shared.expose()]);
        Ok(shared)
    }
    fn exchange(&self, private: &[u8], public: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        let (own, shared) = self.0.exchange(private, public)?;
        note(Kind::Agree, &[private, shared.expose()]);
        Ok((own, shared))
    }
    fn check_point(&self, public: &[u8]) -> Result<(), CryptoError> {
        self.0.check_point(public)
    }
}

struct RecordedKem(&'static Dhkem);

impl Kem for RecordedKem {
    fn id(&self) -> u16 {
        self.0.id()
    }
    fn secret_length(&self) -> usize {
        self.0.secret_length()
    }
    fn encapsulation_length(&self) -> usize {
        self.0.encapsulation_length()
    }
    fn public_key_length(&self) -> usize {
        self.0.public_key_length()
    }
    fn private_key_length(&self) -> usize {
        self.0.private_key_length()
    }
    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        let (private, public) = self.0.derive_key_pair(ikm)?;
        note(Kind::KeyPair, &[ikm, private.0.expose(), &public.0]);
        Ok((private, public))
    }
    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError> {
        let (shared, encapsulation) = self.0.encap(key, random)?;
        note(Kind::Encap, &[&key.0, shared.expose()]);
        Ok((shared, encapsulation))
    }
    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError> {
        let shared = self.0.decap(encapsulation, key)?;
        note(Kind::Decap, &[key.0.expose(), shared.expose()]);
        Ok(shared)
    }
    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError> {
        self.0.public_key(key)
    }
    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        self.0.check_public_key(key)
    }
}
