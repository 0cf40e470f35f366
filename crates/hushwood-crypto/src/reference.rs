//! RFC 9420 §5.2: hash-based identifiers.

use std::fmt;

use hushwood_codec::{EncodeError, Writer, wire_newtype};

use crate::CipherSuite;

wire_newtype! {
    /// `opaque HashReference<V>`: a `KeyPackageRef` or a `ProposalRef`.
    #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub struct HashReference(pub Vec<u8>);
}

impl fmt::Debug for HashReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashReference(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// `RefHash(label, value)`. Unlike other labels, this one is given whole, with its "MLS 1.0 ".
///
/// # Errors
/// [`EncodeError`] if `value` is longer than a vector can be.
pub fn ref_hash(suite: &dyn CipherSuite, label: &str, value: &[u8]) -> Result<HashReference, EncodeError> {
    let mut header = Writer::new();
    header.opaque(label.as_bytes()).length(value.len());
    Ok(HashReference(suite.hash().hash(&[&header.finish()?, value]).as_bytes().to_vec()))
}
