//! When the randomness fails, so does whatever needs it: no default bytes, no half-made key.

use hushwood_crypto::hpke::{HpkeContext, HpkeInfo};
use hushwood_crypto::{BatchItem, CryptoError, CryptoProvider, SoftwareSigner};

use crate::random::{BrokenRandom, SeededRandom};
use crate::table::Row;

/// Calls whatever takes randomness, for every suite.
#[must_use]
pub fn run(provider: &CryptoProvider) -> Vec<Row> {
    let mut row = Row::new("failing randomness", provider.name);
    for suite in provider.suites.iter().copied() {
        let mut refused = |what: &str, result: Option<CryptoError>| {
            row.case(result == Some(CryptoError::Random), || format!("{suite:?}: {what}: {result:?}"));
        };
        let (_, key) = suite.kem().derive_key_pair(&[7; 66]).expect("derived");
        refused("encap", suite.kem().encap(&key, &mut BrokenRandom).err());
        refused("seal", HpkeInfo::raw(suite, b"").seal(&key, b"", &mut BrokenRandom).err());
        refused("setup", HpkeContext::sender(suite, &key, b"", None, &mut BrokenRandom).err());
        refused("generate", suite.signature().generate(&mut BrokenRandom).err());
        refused("signer", SoftwareSigner::generate(suite, &mut BrokenRandom).err());

        // A batch needs randomness only to be fast.
        let (private, public) = suite.signature().generate(&mut SeededRandom::new(1)).expect("generated");
        let signature = suite.signature().sign(&private, b"message").expect("signed");
        let good = BatchItem { key: &public, message: b"message", signature: &signature };
        let bad = BatchItem { message: b"massage", ..good };
        let verify = |items: &[BatchItem<'_>]| suite.signature().verify_batch(items, &mut BrokenRandom);
        row.case(verify(&[good; 3]) == Ok(()), || format!("{suite:?}: good batch"));
        row.case(verify(&[good, good, bad, bad]) == Err(2), || format!("{suite:?}: bad batch"));
    }
    vec![row]
}
