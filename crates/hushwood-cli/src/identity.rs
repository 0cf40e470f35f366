//! Who this home is: a name, and a key for each signature scheme that groups may use.

use hushwood::credential::{Claim, Credential};
use hushwood::error::{Error, StoreReadError};
use hushwood::tree::{LeafContent, Supported};
use hushwood_codec::{Decode, DecodeLimits, Reader, Writer};
use hushwood_crypto::{
    CipherSuite, CipherSuiteId, CryptoError, Secret, SignaturePrivateKey, SignaturePublicKey, Signer,
    SoftwareSigner,
};

use crate::failure::Failure;
use crate::home::{Home, Rows};
use crate::system::{OsRandom, PROVIDER};
use crate::text;
use crate::words::Number;

/// The client of this home.
pub(crate) struct Identity {
    name: Vec<u8>,
    keys: Vec<(CipherSuiteId, SoftwareSigner)>,
}

const ROW: &str = "identity";
const VERSION: u8 = 1;

impl Identity {
    /// A new identity with fresh keys.
    pub(crate) fn generate(name: &str) -> Result<Self, Failure> {
        let mut keys = Vec::new();
        for suite in PROVIDER.suites.iter().filter(|suite| scheme(suite.id()) == suite.id()) {
            let key = SoftwareSigner::generate(*suite, &mut OsRandom).map_err(Error::from)?;
            keys.push((suite.id(), key));
        }
        keys.sort_by_key(|(id, _)| *id);
        Ok(Self { name: name.as_bytes().to_vec(), keys })
    }

    /// The identity of this home.
    pub(crate) fn load(home: &Home) -> Result<Self, Failure> {
        let Some(row) = home.row(ROW)? else {
            return Err(Failure::refused("this home has no identity")
                .advise("make one with `hushwood identity new NAME`"));
        };
        Self::decode(&row).ok_or_else(|| StoreReadError::Corrupt.into())
    }

    /// Adds the identity to what is written.
    pub(crate) fn put(&self, rows: &mut Rows) -> Result<(), Failure> {
        let keys: usize = self.keys.iter().map(|(_, key)| key.private_key().0.len() + 8).sum();
        // Long enough not to grow, which would leave keys behind.
        let mut writer = Writer::with_capacity(keys + self.name.len() + 64);
        writer.raw(&[VERSION]).opaque(&self.name);
        for (suite, key) in &self.keys {
            writer.value(suite).value(&key.private_key().0);
        }
        rows.put(ROW, Secret::new(writer.finish().map_err(Error::from)?));
        Ok(())
    }

    fn decode(row: &Secret) -> Option<Self> {
        let mut reader = Reader::new(row.expose(), DecodeLimits::default()).ok()?;
        if u8::decode(&mut reader).ok()? != VERSION {
            return None;
        }
        let name = Vec::decode(&mut reader).ok()?;
        let mut keys = Vec::new();
        while reader.remaining() > 0 {
            let suite = CipherSuiteId::decode(&mut reader).ok()?;
            let private = SignaturePrivateKey(Secret::copy_of(reader.opaque().ok()?));
            keys.push((suite, SoftwareSigner::new(PROVIDER.suite(suite)?, private).ok()?));
        }
        Some(Self { name, keys })
    }

    /// Its name, safe to show.
    pub(crate) fn name(&self) -> String {
        text::name(&self.name)
    }

    pub(crate) fn credential(&self) -> Credential {
        Credential::basic(self.name.clone())
    }

    /// What its leaves say of it.
    pub(crate) fn leaf_content(&self) -> LeafContent {
        let supported = Supported::new(PROVIDER);
        LeafContent { credential: self.credential(), supported, extensions: Default::default() }
    }

    /// What signs in groups of this suite.
    pub(crate) fn signer(&self, suite: &dyn CipherSuite) -> Result<&SoftwareSigner, Failure> {
        let scheme = scheme(suite.id());
        let found = self.keys.iter().find(|(id, _)| *id == scheme);
        found.map(|(_, key)| key).ok_or_else(|| Error::from(CryptoError::PrivateKey).into())
    }

    /// What it shows, once for each key.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim> {
        let claim = |key: &SoftwareSigner| Claim {
            credential: self.credential(),
            signature_key: key.public_key().clone(),
        };
        self.keys.iter().map(move |(_, key)| claim(key))
    }

    /// Its safety numbers, one for each key, with a suite that uses it.
    pub(crate) fn numbers(&self) -> Result<Vec<(CipherSuiteId, Number)>, Failure> {
        self.keys
            .iter()
            .map(|(suite, key)| Ok((*suite, number(&self.credential(), key.public_key())?)))
            .collect()
    }
}

/// The safety number of whoever shows this credential and signs with this key.
pub(crate) fn number(credential: &Credential, key: &SignaturePublicKey) -> Result<Number, Failure> {
    Number::of_member(sha512()?, credential, key)
}

/// A suite whose hash is SHA-512, for numbers that do not depend on a group's suite.
pub(crate) fn sha512() -> Result<&'static dyn CipherSuite, Failure> {
    let suite = PROVIDER.suite(CipherSuiteId::MLS_256_DHKEMP521_AES256GCM_SHA512_P521);
    suite.ok_or_else(|| Error::from(CryptoError::Provider).into())
}

/// The first suite with the same signature scheme: suites that share a scheme share the key.
fn scheme(suite: CipherSuiteId) -> CipherSuiteId {
    match suite {
        CipherSuiteId::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519 => {
            CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519
        }
        CipherSuiteId::MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_ED448 => {
            CipherSuiteId::MLS_256_DHKEMX448_AES256GCM_SHA512_ED448
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let identity = Identity::generate("desk").unwrap();
        assert_eq!(identity.keys.len(), 5);
        let mut writer = Writer::new();
        writer.raw(&[VERSION]).opaque(&identity.name);
        for (suite, key) in &identity.keys {
            writer.value(suite).value(&key.private_key().0);
        }
        let row = Secret::new(writer.finish().unwrap());
        let read = Identity::decode(&row).unwrap();
        assert_eq!(read.name(), "desk");
        for suite in PROVIDER.suites {
            let (old, new) = (identity.signer(*suite).unwrap(), read.signer(*suite).unwrap());
            assert_eq!(old.public_key(), new.public_key());
        }
        let damaged = Secret::copy_of(&row.expose()[..row.len() - 1]);
        assert!(Identity::decode(&damaged).is_none());
    }
}
