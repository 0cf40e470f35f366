use curve25519_dalek::constants::EIGHT_TORSION;

use super::*;
use crate::SignaturePublicKey;

/// Deterministic bytes; coefficients need no more in a test.
struct Counter(u64);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        for chunk in bytes.chunks_mut(64) {
            self.0 += 1;
            let hash = Sha512::digest(self.0.to_le_bytes());
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
        Ok(())
    }
}

struct Broken;

impl Random for Broken {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError::Random)
    }
}

fn scalar(seed: u64) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(seed.to_be_bytes()).into())
}

struct Signed {
    key: SignaturePublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Signs as §5.1.6 does, but with these points added to `A` and `R`.
    fn new(seed: u64, key_torsion: EdwardsPoint, r_torsion: EdwardsPoint) -> Self {
        let (a, r) = (scalar(seed), scalar(seed ^ 0xffff_0000));
        let message = seed.to_le_bytes().repeat(1 + usize::try_from(seed % 7).unwrap());
        let key = (EdwardsPoint::mul_base(&a) + key_torsion).compress();
        let commitment = (EdwardsPoint::mul_base(&r) + r_torsion).compress();
        let hash = Sha512::new()
            .chain_update(commitment.as_bytes())
            .chain_update(key.as_bytes())
            .chain_update(&message)
            .finalize();
        let s = r + Scalar::from_bytes_mod_order_wide(&hash.into()) * a;
        let signature = [commitment.to_bytes(), s.to_bytes()].concat();
        Self { key: SignaturePublicKey(key.to_bytes().to_vec()), message, signature }
    }

    fn honest(seed: u64) -> Self {
        Self::new(seed, EIGHT_TORSION[0], EIGHT_TORSION[0])
    }

    fn item(&self) -> BatchItem<'_> {
        BatchItem { key: &self.key, message: &self.message, signature: &self.signature }
    }

    fn verify(&self) -> Result<(), CryptoError> {
        verify_cofactored(&self.key.0, &self.message, &self.signature)
    }
}

fn batch(items: &[Signed]) -> Result<(), usize> {
    let items: Vec<_> = items.iter().map(Signed::item).collect();
    verify_batch(&items, &mut Counter(0))
}

#[test]
fn components_of_small_order_are_accepted_alone_and_in_every_batch() {
    let mut all = Vec::new();
    for (seed, key_torsion) in (0..).step_by(8).zip(EIGHT_TORSION) {
        for (seed, r_torsion) in (seed..).zip(EIGHT_TORSION) {
            let signed = Signed::new(seed, key_torsion, r_torsion);
            signed.verify().unwrap();
            assert_eq!(batch(&[signed, Signed::honest(1000)]), Ok(()));
            all.push(Signed::new(seed, key_torsion, r_torsion));
        }
    }
    let items: Vec<_> = all.iter().map(Signed::item).collect();
    let equation = |item: &Signed| Equation::new(&item.key.0, &item.message, &item.signature).unwrap();
    let equations: Vec<_> = all.iter().map(equation).collect();
    for seed in 0..50 {
        assert_eq!(verify_batch(&items, &mut Counter(seed)), Ok(()));
        // In one go: not one by one after the sum has failed.
        assert_eq!(all_hold(&equations, &mut Counter(seed)), Ok(true));
    }
}

#[test]
fn a_yes_of_the_check_without_cofactor_is_never_taken_back() {
    for (seed, torsion) in (0..).zip(EIGHT_TORSION) {
        let signed = Signed::new(seed, torsion, EIGHT_TORSION[0]);
        let equation = Equation::new(&signed.key.0, &signed.message, &signed.signature).unwrap();
        let without_cofactor =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&-equation.h, &equation.a, &equation.s)
                == equation.r;
        assert!(!without_cofactor || equation.holds());
    }
}

#[test]
fn small_order_keys_are_refused_before_the_fast_check_is_asked() {
    for torsion in EIGHT_TORSION {
        let key = torsion.compress().to_bytes();
        assert!(is_canonical(&key) && is_small_order(&key));
        assert_eq!(check_public_key(&key), Err(CryptoError::PublicKey));
        // With R and S zero-like, such a key would verify: [8][0]B = [8]O + [8][h]A.
        let signature = [EIGHT_TORSION[0].compress().to_bytes(), [0; 32]].concat();
        assert_eq!(verify_with(&key, b"any", &signature, || true), Err(CryptoError::PublicKey));
        let item = Signed { key: SignaturePublicKey(key.to_vec()), message: vec![1], signature };
        assert_eq!(batch(&[Signed::honest(1), item]), Err(1));
    }
}

#[test]
fn encodings_that_are_not_canonical_are_refused() {
    let non_canonical = |y: u8, sign: u8| {
        // p + y, little-endian, for y < 19.
        let mut bytes = P;
        bytes[0] += y;
        bytes[31] |= sign;
        bytes
    };
    for y in 0..19 {
        for sign in [0, 0x80] {
            let bytes = non_canonical(y, sign);
            assert!(!is_canonical(&bytes));
            assert_eq!(check_public_key(&bytes), Err(CryptoError::PublicKey));
            let mut signed = Signed::honest(7);
            signed.signature[..32].copy_from_slice(&bytes);
            let fast = verify_with(&signed.key.0, &signed.message, &signed.signature, || true);
            assert_eq!(fast, Err(CryptoError::Signature));
        }
    }
    // x = 0 with the sign bit set: "minus zero" (§5.1.3, step 4).
    for mut bytes in [ONE, MINUS_ONE] {
        assert!(is_canonical(&bytes));
        bytes[31] |= 0x80;
        assert!(CompressedEdwardsY(bytes).decompress().is_some(), "dalek decodes it");
        assert!(!is_canonical(&bytes));
    }
    // What encoding gives is canonical.
    for seed in 0..200 {
        assert!(is_canonical(&EdwardsPoint::mul_base(&scalar(seed)).compress().to_bytes()));
    }
}

#[test]
fn s_plus_the_order_is_refused_even_if_the_fast_check_says_yes() {
    // L, little-endian: -1 plus 1.
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    let mut signed = Signed::honest(3);
    let mut carry = 0;
    for (byte, l) in signed.signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(signed.verify(), Err(CryptoError::Signature));
    let fast = verify_with(&signed.key.0, &signed.message, &signed.signature, || true);
    assert_eq!(fast, Err(CryptoError::Signature));
    assert_eq!(batch(&[signed]), Err(0));
}

#[test]
fn every_flipped_bit_is_refused() {
    for bit in 0..512 {
        let mut signed = Signed::honest(9);
        signed.signature[bit / 8] ^= 1 << (bit % 8);
        assert!(signed.verify().is_err());
        assert_eq!(batch(&[Signed::honest(1), signed, Signed::honest(2)]), Err(1));
    }
}

#[test]
fn other_lengths_are_refused() {
    let signed = Signed::honest(4);
    for length in [0, 1, 31, 33, 64] {
        let key = vec![2; length];
        let result = verify_with(&key, &signed.message, &signed.signature, || true);
        assert_eq!(result, Err(CryptoError::PublicKey));
    }
    for length in [0, 1, 32, 63, 65, 128] {
        let mut signature = signed.signature.clone();
        signature.resize(length, 0);
        let result = verify_with(&signed.key.0, &signed.message, &signature, || true);
        assert_eq!(result, Err(CryptoError::Signature));
    }
}

#[test]
fn the_first_bad_index_is_found_in_any_chunk() {
    let mut items: Vec<_> = (0..2 * u64::try_from(CHUNK).unwrap() + 10).map(Signed::honest).collect();
    assert_eq!(batch(&items), Ok(()));
    for bad in [items.len() - 1, 2 * CHUNK, CHUNK + 1, CHUNK, CHUNK - 1, 17, 0] {
        items[bad].message.push(0);
        assert_eq!(batch(&items), Err(bad));
    }
    // A malformed item does not hide a wrong one before it, nor the other way round.
    let mut items: Vec<_> = (0..10).map(Signed::honest).collect();
    items[6].signature.clear();
    assert_eq!(batch(&items), Err(6));
    items[8].message.push(0);
    assert_eq!(batch(&items), Err(6));
    items[3].message.push(0);
    assert_eq!(batch(&items), Err(3));
}

#[test]
fn without_randomness_the_items_are_verified_one_by_one() {
    let mut items: Vec<_> = (0..5).map(Signed::honest).collect();
    let verify = |items: &[Signed]| {
        let items: Vec<_> = items.iter().map(Signed::item).collect();
        verify_batch(&items, &mut Broken)
    };
    assert_eq!(verify(&items), Ok(()));
    items[4].message.push(0);
    assert_eq!(verify(&items), Err(4));
    assert_eq!(verify(&[]), Ok(()));
}

#[test]
fn errors_that_cancel_out_without_coefficients_are_found() {
    // S of one raised, S of the other lowered by the same: the plain sum of both equations holds.
    let (mut one, mut two) = (Signed::honest(1), Signed::honest(2));
    for (signed, difference) in [(&mut one, scalar(5)), (&mut two, -scalar(5))] {
        let s = Scalar::from_canonical_bytes(signed.signature[32..].try_into().unwrap()).unwrap();
        signed.signature[32..].copy_from_slice((s + difference).as_bytes());
    }
    assert_eq!(batch(&[one, two]), Err(0));
}

/// Gives the same for ever.
struct Stuck;

impl Random for Stuck {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        bytes.fill(7);
        Ok(())
    }
}

#[test]
fn bad_signatures_that_cancel_each_other_out_are_refused_even_under_randomness_that_is_known() {
    let mut signed = [Signed::honest(1), Signed::honest(2)];
    for (signed, error) in signed.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
        let (_, s) = halves(&signed.signature).unwrap();
        signed.signature[32..].copy_from_slice((s + error).as_bytes());
        assert_eq!(signed.verify(), Err(CryptoError::Signature));
    }
    let items: Vec<_> = signed.iter().map(Signed::item).collect();
    assert_eq!(verify_batch(&items, &mut Stuck), Err(0));
}
