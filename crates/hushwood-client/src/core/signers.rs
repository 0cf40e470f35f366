//! Signature keys that are not in the store: those of a chip, of the operating system's key store, of another process (RFC 9750 §8.3.3,
//! A011).

use hushwood::transition::Records;
use hushwood_codec::wire_struct;
use hushwood_crypto::{CipherSuite, Signer, sign_with_label, verify_with_label};

use crate::core::work::Work;
use crate::error::Error;
use crate::records::{DEVICE, VERSION, corrupt, from_row, get, row, to_row};
use crate::settings::Signers;

wire_struct! {
    /// Which keys a store belongs to that does not hold them.
    #[derive(Eq, PartialEq)]
    struct KeysElsewhere {
        version: u8,
        groups: Vec<u8>,
        service: Vec<u8>,
    }
}

/// The row of [`KeysElsewhere`].
const KEYS: &str = "keys elsewhere";

/// Sees that these signers are those of the store, or may become that: they sign what verifies.
pub(super) fn check(
    signers: &Signers,
    (groups, service): (&dyn CipherSuite, &dyn CipherSuite),
    (store, is_new): (&dyn Records, bool),
    work: &mut Work,
) -> Result<(), Error> {
    let public = |signer: &dyn Signer| signer.public_key().0.clone();
    let keys = KeysElsewhere {
        version: VERSION,
        groups: public(&*signers.groups),
        service: public(&*signers.service),
    };
    match get(store, &row(DEVICE, KEYS))? {
        Some(known) => {
            let known: KeysElsewhere = from_row(&known)?;
            match known {
                known if known.version != VERSION => Err(corrupt()),
                known if known == keys => Ok(()),
                _ => Err(Error::OtherSigner),
            }
        }
        // The keys of this store are in it.
        None if !is_new => Err(Error::OtherSigner),
        None => {
            for (signer, suite) in [(&*signers.groups, groups), (&*signers.service, service)] {
                let signature = sign_with_label(signer, LABEL, b"").map_err(hushwood::error::Error::from)?;
                verify_with_label(suite, signer.public_key(), LABEL, b"", &signature)
                    .map_err(|_| Error::OtherSigner)?;
            }
            work.put(row(DEVICE, KEYS), to_row(&keys, 0)?);
            Ok(())
        }
    }
}

/// What is signed to see whether a signer can.
const LABEL: &str = "hushwood signer 1";
