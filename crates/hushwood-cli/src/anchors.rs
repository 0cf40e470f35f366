//! Which certificates this home trusts to certify others, and what was revoked.

use hushwood::credential::x509::X509Validator;
use hushwood::error::{Error, StoreReadError};
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::{CipherSuiteId, CryptoError, Secret};

use crate::failure::{Class, Failure};
use crate::home::{Home, Rows};
use crate::system::PROVIDER;
use crate::text;

const PREFIX: &str = "anchor/";
const VERSION: u8 = 1;

wire_struct! {
    /// A certificate or a CRL.
    #[derive(Clone, Debug, Eq, PartialEq)]
    struct AnchorRow {
        version: u8,
        /// 1 if it is a CRL.
        crl: u8,
        der: Vec<u8>,
    }
}

/// Something that this home judges certificates by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Anchor {
    /// True for a list of revoked certificates.
    pub(crate) crl: bool,
    pub(crate) der: Vec<u8>,
}

impl Anchor {
    /// Its SHA-256 in hexadecimal, as other programs show it.
    pub(crate) fn fingerprint(&self) -> Result<String, Failure> {
        let suite = PROVIDER.suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519);
        let suite = suite.ok_or(Error::from(CryptoError::Provider))?;
        Ok(text::hex(suite.hash().hash(&[&self.der]).as_bytes()))
    }

    /// Adds it to what is written, if it is what it should be.
    pub(crate) fn put(&self, rows: &mut Rows) -> Result<(), Failure> {
        validator_of(std::slice::from_ref(self))?;
        let row = AnchorRow { version: VERSION, crl: self.crl.into(), der: self.der.clone() };
        let value = Secret::new(row.to_bytes().map_err(Error::from)?);
        rows.put(&format!("{PREFIX}{}", self.fingerprint()?), value);
        Ok(())
    }

    pub(crate) fn erase(&self, rows: &mut Rows) -> Result<(), Failure> {
        rows.erase(&format!("{PREFIX}{}", self.fingerprint()?));
        Ok(())
    }
}

/// All that this home has.
pub(crate) fn all(home: &Home) -> Result<Vec<Anchor>, Failure> {
    let rows = home.rows(PREFIX)?;
    rows.iter()
        .map(|(_, row)| match AnchorRow::from_bytes(row.expose()) {
            Ok(AnchorRow { version: VERSION, crl, der }) => Ok(Anchor { crl: crl == 1, der }),
            Ok(_) | Err(_) => Err(StoreReadError::Corrupt.into()),
        })
        .collect()
}

/// What judges certificates by them.
pub(crate) fn validator(home: &Home) -> Result<X509Validator, Failure> {
    validator_of(&all(home)?)
}

fn validator_of(all: &[Anchor]) -> Result<X509Validator, Failure> {
    let (crls, anchors): (Vec<_>, Vec<_>) = all.iter().partition(|anchor| anchor.crl);
    let anchors: Vec<_> = anchors.iter().map(|anchor| anchor.der.as_slice()).collect();
    let validator = X509Validator::new(PROVIDER, &anchors).map_err(malformed)?;
    crls.iter().try_fold(validator, |validator, crl| validator.crl(&crl.der).map_err(malformed))
}

fn malformed(error: hushwood::credential::x509::X509Error) -> Failure {
    Failure::new(Class::Decode, error.to_string())
        .advise("name a file with certificates or revocation lists, in PEM or DER")
}
