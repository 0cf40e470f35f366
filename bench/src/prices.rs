//! What one call of each primitive costs, measured in the run that it is used in.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use hushwood_crypto::{BatchItem, CipherSuite, Secret, Signer, SoftwareSigner};
use hushwood_rustcrypto::OsRandom;
use serde::{Deserialize, Serialize};

use crate::counting::{Counts, Kind};

/// A primitive of an implementation, to be timed.
pub struct Primitive {
    /// What it is.
    pub kind: Kind,
    /// On how many bytes, or (a verification) of how many signatures at a time.
    pub size: Size,
    /// Does it once.
    pub run: Box<dyn FnMut()>,
}

/// The size of what a primitive works on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Size {
    /// So many bytes.
    Bytes(usize),
    /// So many signatures, verified together.
    Signatures(usize),
}

impl Primitive {
    /// One that works on so many bytes.
    pub fn new(kind: Kind, bytes: usize, run: impl FnMut() + 'static) -> Self {
        Self { kind, size: Size::Bytes(bytes), run: Box::new(run) }
    }
}

impl fmt::Debug for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primitive")
            .field("kind", &self.kind)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Prices in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Prices(BTreeMap<(Kind, Size), f64>);

impl Prices {
    /// Times each primitive; of many runs the shortest counts.
    #[must_use]
    pub fn measure(primitives: Vec<Primitive>) -> Self {
        let mut prices = BTreeMap::new();
        for mut primitive in primitives {
            let price = shortest(&mut *primitive.run);
            let entry = prices.entry((primitive.kind, primitive.size)).or_insert(price);
            *entry = price.min(*entry);
        }
        Self(prices)
    }

    /// The lowest of each.
    #[must_use]
    pub fn lowest<'p>(all: impl IntoIterator<Item = &'p Self>) -> Self {
        let mut lowest = Self::default();
        for (what, price) in all.into_iter().flat_map(|prices| &prices.0) {
            let entry = lowest.0.entry(*what).or_insert(*price);
            *entry = price.min(*entry);
        }
        lowest
    }

    /// What all that was counted costs, in microseconds.
    ///
    /// Checks of public keys are free here: a signature's verification and a Diffie-Hellman make them anyway. So are
    /// calls that the implementation of the prices does not offer.
    #[must_use]
    pub fn total_us(&self, counts: &Counts) -> f64 {
        let kinds = Kind::ALL.iter().map(|(kind, _)| *kind);
        let checks = [Kind::KemCheck, Kind::SignatureCheck];
        let total: f64 =
            kinds.filter(|kind| !checks.contains(kind)).map(|kind| self.total(kind, counts)).sum();
        total / 1_000.0
    }

    fn total(&self, kind: Kind, counts: &Counts) -> f64 {
        let count = counts.of(kind);
        let (fixed, per_byte) = self.line(kind);
        let calls = count.calls as f64;
        // The verifications of one operation make one batch.
        let fixed = match kind {
            Kind::Verify => {
                let hashing = BATCHED_BYTES as f64 * per_byte;
                self.batched(count.calls).map_or(fixed, |batched| (batched - hashing).min(fixed))
            }
            _ => fixed,
        };
        calls * fixed + count.bytes as f64 * per_byte
    }

    /// What a call costs on no bytes, and what each byte adds.
    fn line(&self, kind: Kind) -> (f64, f64) {
        let sizes = self.0.iter().filter_map(|((of, size), price)| match size {
            Size::Bytes(bytes) if *of == kind => Some((*bytes as f64, *price)),
            Size::Bytes(_) | Size::Signatures(_) => None,
        });
        let sizes: Vec<_> = sizes.collect();
        match (sizes.first(), sizes.last()) {
            (Some((small, low)), Some((large, high))) if large > small => {
                let per_byte = ((high - low) / (large - small)).max(0.0);
                ((low - small * per_byte).max(0.0), per_byte)
            }
            (Some((_, price)), _) => (*price, 0.0),
            _ => (0.0, 0.0),
        }
    }

    /// What one of so many verifications costs in a batch: that of the largest batch measured that is not larger.
    fn batched(&self, signatures: u64) -> Option<f64> {
        let batches = self.0.iter().filter_map(|((_, size), price)| match size {
            Size::Signatures(together) if *together as u64 <= signatures => Some(price / *together as f64),
            Size::Signatures(_) | Size::Bytes(_) => None,
        });
        batches.reduce(f64::min)
    }

    /// As a table: what, size, nanoseconds.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, Size, f64)> {
        self.0.iter().map(|((kind, size), price)| {
            let name = Kind::ALL.iter().find(|(of, _)| of == kind).map_or("", |(_, name)| name);
            (name, *size, *price)
        })
    }
}

fn shortest(run: &mut dyn FnMut()) -> f64 {
    let once = time(run, 1).max(Duration::from_nanos(20));
    let calls = u32::try_from(Duration::from_micros(500).as_nanos() / once.as_nanos()).unwrap_or(1).max(1);
    let started = Instant::now();
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 5 || (started.elapsed() < Duration::from_millis(60) && runs < 200) {
        best = best.min(time(run, calls));
        runs += 1;
    }
    best.as_nanos() as f64 / f64::from(calls)
}

fn time(run: &mut dyn FnMut(), calls: u32) -> Duration {
    let started = Instant::now();
    (0..calls).for_each(|_| run());
    started.elapsed()
}

/// On how many bytes primitives are timed whose price depends on it.
pub const SIZES: [usize; 2] = [256, 1 << 16];
/// The length of what is signed where signatures are verified together: about that of a LeafNodeTBS.
const BATCHED_BYTES: usize = 256;
/// How many signatures are verified together: few, as in a commit, and many, as in a tree.
pub const BATCHES: [usize; 6] = [2, 4, 16, 64, 256, 1024];

/// The primitives of a suite of ours.
///
/// # Errors
/// None with a provider that keeps its contract.
pub fn of_suite(suite: &'static dyn CipherSuite) -> Result<Vec<Primitive>> {
    let (kem, signature, aead) = (suite.kem(), suite.signature(), suite.aead());
    let ikm = vec![5; kem.private_key_length()];
    let (private, public) = kem.derive_key_pair(&ikm)?;
    let (_, encapsulation) = kem.encap(&public, &mut OsRandom)?;
    let (signing, _) = signature.generate(&mut OsRandom)?;
    let encapsulated_to = public.clone();
    let private_again = hushwood_crypto::HpkePrivateKey(Secret::copy_of(private.0.expose()));
    let mut all = vec![
        Primitive::new(Kind::Encap, 0, move || {
            let _ = black_box(suite.kem().encap(&encapsulated_to, &mut OsRandom));
        }),
        Primitive::new(Kind::Decap, 0, move || {
            let _ = black_box(suite.kem().decap(&encapsulation, &private));
        }),
        Primitive::new(Kind::DeriveKeyPair, 0, move || {
            let _ = black_box(suite.kem().derive_key_pair(&ikm));
        }),
        Primitive::new(Kind::KemPublicKey, 0, move || {
            let _ = black_box(suite.kem().public_key(&private_again));
        }),
        Primitive::new(Kind::SignatureKey, 0, move || {
            let _ = black_box(suite.signature().public_key(&signing));
        }),
    ];
    for bytes in SIZES {
        let text = vec![7; bytes];
        let (signing, verifying) = signature.generate(&mut OsRandom)?;
        let signed = signature.sign(&signing, &text)?;
        // As members sign: the key is made ready once.
        let signer = SoftwareSigner::new(suite, signing)?;
        let (key, nonce) = (vec![1; aead.key_length()], vec![2; aead.nonce_length()]);
        let sealed = aead.seal(&key, &nonce, b"", &text)?;
        let texts: [Vec<u8>; 5] = std::array::from_fn(|_| text.clone());
        let [to_sign, to_verify, to_hash, to_mac, to_seal] = texts;
        let (key_again, nonce_again) = (key.clone(), nonce.clone());
        all.extend([
            Primitive::new(Kind::Sign, bytes, move || {
                let _ = black_box(signer.sign(&to_sign));
            }),
            Primitive::new(Kind::Verify, bytes, move || {
                let _ = black_box(suite.signature().verify(&verifying, &to_verify, &signed));
            }),
            Primitive::new(Kind::Hash, bytes, move || {
                black_box(suite.hash().hash(&[&to_hash]));
            }),
            Primitive::new(Kind::Hmac, bytes, move || {
                black_box(suite.kdf().mac(&[3; 32], &[&to_mac]));
            }),
            Primitive::new(Kind::Seal, bytes, move || {
                let _ = black_box(suite.aead().seal(&key, &nonce, b"", &to_seal));
            }),
            Primitive::new(Kind::Open, bytes, move || {
                let _ = black_box(suite.aead().open(&key_again, &nonce_again, b"", &sealed));
            }),
        ]);
    }
    for signatures in BATCHES {
        all.push(batch(suite, signatures)?);
    }
    Ok(all)
}

fn batch(suite: &'static dyn CipherSuite, signatures: usize) -> Result<Primitive> {
    let mut signed = Vec::new();
    for number in 0..signatures {
        let (signing, verifying) = suite.signature().generate(&mut OsRandom)?;
        let text = vec![u8::try_from(number % 251)?; BATCHED_BYTES];
        let signature = suite.signature().sign(&signing, &text)?;
        signed.push((verifying, text, signature));
    }
    let run = move || {
        let items: Vec<_> =
            signed.iter().map(|(key, message, signature)| BatchItem { key, message, signature }).collect();
        let _ = black_box(suite.signature().verify_batch(&items, &mut OsRandom));
    };
    Ok(Primitive { kind: Kind::Verify, size: Size::Signatures(signatures), run: Box::new(run) })
}
