//! RFC 8032 §5.1.7: the one rule by which an Ed25519 signature is good, whoever verifies it.
//!
//! RFC 8032 allows two equations, and libraries differ in which they check and in which encodings they
//! take. Members of a group that differ on one signature are members of two groups, so the rule is fixed
//! here, for single verification and batches, for every provider:
//!
//! 1. `A` and `R` are canonical encodings of points on the curve (§5.1.3).
//! 2. `A` is not of small order.
//! 3. `S` is canonical: `S < L` (C037).
//! 4. The equation with cofactor holds: `[8][S]B = [8]R + [8][h]A`, with `h = SHA-512(R || A || M)`.
//!
//! Q: the RFC says that decoding fails for `y >= p` and for `x = 0` with the sign bit set, but most
//! libraries decode these. Which of the two? A: we refuse them, as the text says. Honest signers never
//! make them: `A` is derived and `R` is encoded by the signer. dalek and BoringSSL already refuse such an
//! `R`, since they compare its bytes; for `A` they are laxer than we are.
//!
//! Q: why the equation with cofactor? A: it is the one for which batches and single checks agree on
//! points with a component of small order, and it accepts whatever the one without cofactor accepts.
//! So a library's check without cofactor may be used first ([`verify_with`]): its yes is a yes.
//!
//! Q: why is a small-order `A` refused, when the RFC does not say so? A: under such a key a signature
//! exists that verifies for nearly any message, so that it binds its "signer" to nothing.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest as _, Sha512};

use crate::{BatchItem, CryptoError, Random};

/// Refuses public keys that are malformed, not on the curve or of small order (C035).
///
/// # Errors
/// [`CryptoError::PublicKey`].
pub fn check_public_key(key: &[u8]) -> Result<(), CryptoError> {
    public_key(key).map(|_| ())
}

/// Verifies a signature by a faster check of the provider's, given as `fast`, and by the rule where that
/// check says no.
///
/// `fast` verifies the equation without cofactor, `[S]B = R + [h]A`. It must refuse an `S >= L`, and be
/// computed for the `key`, `message` and `signature` that are given here.
///
/// # Errors
/// [`CryptoError::PublicKey`], [`CryptoError::Signature`].
pub fn verify_with(
    key: &[u8],
    message: &[u8],
    signature: &[u8],
    fast: impl FnOnce() -> bool,
) -> Result<(), CryptoError> {
    // What the fast check may be laxer about than the rule: the encodings, and a small-order key.
    allowed_key(key)?;
    halves(signature)?;
    if fast() { Ok(()) } else { verify_cofactored(key, message, signature) }
}

/// Verifies a signature by the rule.
///
/// # Errors
/// [`CryptoError::PublicKey`], [`CryptoError::Signature`].
pub fn verify_cofactored(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let equation = Equation::new(key, message, signature)?;
    if equation.holds() { Ok(()) } else { Err(CryptoError::Signature) }
}

/// Verifies many signatures together, in about half of the time that they take one by one. Accepts
/// exactly what [`verify_cofactored`] accepts, but for a chance of 2^-128.
///
/// # Errors
/// The index of the first bad item. Where the randomness fails, the items are verified one by one.
pub fn verify_batch(items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), usize> {
    let chunks = items.chunks(CHUNK);
    (0..)
        .step_by(CHUNK)
        .zip(chunks)
        .try_for_each(|(start, chunk)| verify_chunk(chunk, random).map_err(|index| start + index))
}

/// Verifies one chunk: the sum of all equations, each times a random coefficient, and only where that
/// does not hold, the items one by one.
fn verify_chunk(items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), usize> {
    let mut equations = Vec::with_capacity(items.len());
    let mut malformed = Ok(());
    for (index, item) in items.iter().enumerate() {
        match Equation::new(&item.key.0, item.message, item.signature) {
            Ok(equation) => equations.push(equation),
            // Those before it still have to be verified: the first bad item may be among them.
            Err(_) => {
                malformed = Err(index);
                break;
            }
        }
    }
    if !all_hold(&equations, random).unwrap_or(false) {
        equations.iter().position(|equation| !equation.holds()).map_or(Ok(()), Err)?;
    }
    malformed
}

/// Whether `[8] Σ zᵢ([Sᵢ]B - Rᵢ - [hᵢ]Aᵢ)` is the identity, for random `zᵢ` of 128 bits.
///
/// If all equations hold, it is. If one does not, its term is, after the cofactor, a point of order L,
/// and at most one `zᵢ` in 2^128 makes the sum vanish.
fn all_hold(equations: &[Equation], random: &mut dyn Random) -> Result<bool, CryptoError> {
    // Alone, an equation is checked faster as it is.
    if let [equation] = equations {
        return Ok(equation.holds());
    }
    let mut seed = [0; 32];
    random.fill(&mut seed)?;
    let coefficients = coefficients(equations, seed);

    let terms = || equations.iter().zip(&coefficients);
    let base: Scalar = terms().map(|(equation, z)| equation.s * z).sum();
    let scalars = std::iter::once(-base)
        .chain(coefficients.iter().copied())
        .chain(terms().map(|(equation, z)| equation.h * z));
    let points = std::iter::once(&ED25519_BASEPOINT_POINT)
        .chain(equations.iter().map(|equation| &equation.r))
        .chain(equations.iter().map(|equation| &equation.a));
    Ok(EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity())
}

/// `zᵢ`: from the seed and from all that is verified.
///
/// Q: why not straight from the randomness? A: whoever knows the coefficients beforehand can make bad
/// signatures that cancel each other out. Drawn from the signatures too, they are not known beforehand even
/// where a generator repeats itself, as in a copy of a virtual machine. (`h` stands for `R`, `A` and message.)
fn coefficients(equations: &[Equation], seed: [u8; 32]) -> Vec<Scalar> {
    let all = equations.iter().fold(Sha512::new().chain_update(seed), |hash, equation| {
        hash.chain_update(equation.h.as_bytes()).chain_update(equation.s.as_bytes())
    });
    let all = all.finalize();
    // Four of 128 bits from each hash.
    let four = |index: u64| {
        let hash = Sha512::new().chain_update(all).chain_update(index.to_le_bytes()).finalize();
        let (numbers, _) = hash.as_chunks();
        let numbers = numbers.iter().map(|number| Scalar::from(u128::from_le_bytes(*number)));
        numbers.collect::<Vec<_>>()
    };
    (0..).flat_map(four).take(equations.len()).collect()
}

/// A public key and a signature, decoded: what steps 1 and 2 of §5.1.7 give.
struct Equation {
    a: EdwardsPoint,
    r: EdwardsPoint,
    s: Scalar,
    h: Scalar,
}

impl Equation {
    fn new(key: &[u8], message: &[u8], signature: &[u8]) -> Result<Self, CryptoError> {
        let a = public_key(key)?;
        let (r_bytes, s) = halves(signature)?;
        let r = CompressedEdwardsY(r_bytes).decompress().ok_or(CryptoError::Signature)?;
        let hash = Sha512::new().chain_update(r_bytes).chain_update(key).chain_update(message).finalize();
        Ok(Self { a, r, s, h: Scalar::from_bytes_mod_order_wide(&hash.into()) })
    }

    /// Step 3: `[8]([S]B - [h]A - R)` is the identity. In variable time: nothing here is secret.
    fn holds(&self) -> bool {
        let expected_r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&-self.h, &self.a, &self.s);
        (expected_r - self.r).mul_by_cofactor().is_identity()
    }
}

/// A public key that the rule allows, decoded.
fn public_key(key: &[u8]) -> Result<EdwardsPoint, CryptoError> {
    CompressedEdwardsY(allowed_key(key)?).decompress().ok_or(CryptoError::PublicKey)
}

/// A public key of allowed encoding and order; that it is on the curve is not looked at.
fn allowed_key(key: &[u8]) -> Result<[u8; 32], CryptoError> {
    let key = <[u8; 32]>::try_from(key).map_err(|_| CryptoError::PublicKey)?;
    if is_canonical(&key) && !is_small_order(&key) { Ok(key) } else { Err(CryptoError::PublicKey) }
}

/// `R`, canonical but not decoded, and `S`.
fn halves(signature: &[u8]) -> Result<([u8; 32], Scalar), CryptoError> {
    let signature = <&[u8; 64]>::try_from(signature).map_err(|_| CryptoError::Signature)?;
    let (r, s) = signature.split_first_chunk::<32>().ok_or(CryptoError::Signature)?;
    let s = <[u8; 32]>::try_from(s).map_err(|_| CryptoError::Signature)?;
    let s = Option::from(Scalar::from_canonical_bytes(s)).ok_or(CryptoError::Signature)?;
    if is_canonical(r) { Ok((*r, s)) } else { Err(CryptoError::Signature) }
}

/// Whether RFC 8032 §5.1.3 decodes these bytes, if they are on the curve: `y < p` (step 1), and no sign
/// bit for `x = 0`, which is `y = 1` and `y = -1` (step 4).
fn is_canonical(point: &[u8; 32]) -> bool {
    let y = without_sign(point);
    let below_p = y.iter().rev().lt(P.iter().rev());
    below_p && (y == *point || (y != ONE && y != MINUS_ONE))
}

/// Whether a canonical encoding is of a point whose order divides 8: these have five values of `y`.
fn is_small_order(point: &[u8; 32]) -> bool {
    [ZERO, ONE, MINUS_ONE, ORDER_8, ORDER_8_NEGATED].contains(&without_sign(point))
}

/// The y coordinate: the sign of x is the top bit.
fn without_sign(point: &[u8; 32]) -> [u8; 32] {
    let mut y = *point;
    let [.., last] = &mut y;
    *last &= 0x7f;
    y
}

/// Chunks bound the memory, and what one bad signature costs. Beyond this size a signature's share of
/// the work hardly gets smaller.
const CHUNK: usize = 1024;

/// `p = 2^255 - 19`, little-endian as all encodings here.
const P: [u8; 32] = little_endian(0xed, 0xff, 0x7f);
const ZERO: [u8; 32] = [0; 32];
const ONE: [u8; 32] = little_endian(1, 0, 0);
const MINUS_ONE: [u8; 32] = little_endian(0xec, 0xff, 0x7f);
/// The two values of y of the four points of order 8.
const ORDER_8: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, //
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const ORDER_8_NEGATED: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, //
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// A number given by its lowest byte, its highest one and all those between.
pub(crate) const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(test)]
mod tests;
