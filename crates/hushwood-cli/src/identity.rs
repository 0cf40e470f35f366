//! Who this home is: a name, and a key for each signature scheme that groups may use.

use hushwood::credential::x509::{self, X509Error};
use hushwood::credential::{Certificate, Claim, Credential, CredentialType};
use hushwood::error::{Error, StoreReadError};
use hushwood::group::{Group, LeafUpdate};
use hushwood::tree::{LeafContent, Supported};
use hushwood_codec::{Decode, DecodeLimits, Reader, Writer};
use hushwood_crypto::{
    CipherSuite, CipherSuiteId, CryptoError, Secret, SignaturePrivateKey, SignaturePublicKey, Signer,
    SoftwareSigner,
};

use crate::failure::Failure;
use crate::home::{Home, Rows};
use crate::room;
use crate::system::{OsRandom, PROVIDER};
use crate::words::Number;

/// The client of this home.
pub(crate) struct Identity {
    credential: Credential,
    keys: Vec<(CipherSuiteId, SoftwareSigner)>,
}

const ROW: &str = "identity";
/// A name.
const BASIC: u8 = 1;
/// A chain of certificates.
const X509: u8 = 2;

impl Identity {
    /// A new identity with fresh keys.
    pub(crate) fn generate(name: &str) -> Result<Self, Failure> {
        let mut keys = Vec::new();
        for suite in PROVIDER.suites.iter().filter(|suite| scheme(suite.id()) == suite.id()) {
            let key = SoftwareSigner::generate(*suite, &mut OsRandom).map_err(Error::from)?;
            keys.push((suite.id(), key));
        }
        keys.sort_by_key(|(id, _)| *id);
        Ok(Self { credential: Credential::basic(name), keys })
    }

    /// An identity that somebody else has certified: the chain, the key of its first certificate, and the first
    /// suite that signs with it.
    pub(crate) fn certified(certificates: Vec<Certificate>, key: (CipherSuiteId, SoftwareSigner)) -> Self {
        Self { credential: Credential::X509 { certificates }, keys: vec![key] }
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
        let mut who = Writer::new();
        match &self.credential {
            Credential::Basic { identity } => who.raw(&[BASIC]).opaque(identity),
            Credential::X509 { certificates } => who.raw(&[X509]).value(certificates),
            Credential::Custom { .. } => return Err(Error::Bug("an identity of a custom type").into()),
        };
        let who = who.finish().map_err(Error::from)?;
        // Long enough not to grow, which would leave keys behind.
        let mut writer = Writer::with_capacity(keys + who.len() + 64);
        writer.raw(&who);
        for (suite, key) in &self.keys {
            writer.value(suite).value(&key.private_key().0);
        }
        rows.put(ROW, Secret::new(writer.finish().map_err(Error::from)?));
        Ok(())
    }

    fn decode(row: &Secret) -> Option<Self> {
        let mut reader = Reader::new(row.expose(), DecodeLimits::default()).ok()?;
        let credential = match u8::decode(&mut reader).ok()? {
            BASIC => Credential::basic(Vec::<u8>::decode(&mut reader).ok()?),
            X509 => Credential::X509 { certificates: Vec::decode(&mut reader).ok()? },
            _ => return None,
        };
        let mut keys = Vec::new();
        while reader.remaining() > 0 {
            let suite = CipherSuiteId::decode(&mut reader).ok()?;
            let private = SignaturePrivateKey(Secret::copy_of(reader.opaque().ok()?));
            keys.push((suite, SoftwareSigner::new(PROVIDER.suite(suite)?, private).ok()?));
        }
        Some(Self { credential, keys })
    }

    /// Its name, safe to show.
    pub(crate) fn name(&self) -> String {
        room::credential_name(&self.credential)
    }

    pub(crate) fn credential(&self) -> Credential {
        self.credential.clone()
    }

    /// What its leaves say of it.
    pub(crate) fn leaf_content(&self) -> LeafContent {
        let mut supported = Supported::new(PROVIDER);
        // Others may have certificates, whatever this home has: each member says what it can judge.
        supported.credentials.push(CredentialType::X509);
        LeafContent { credential: self.credential(), supported, extensions: Default::default() }
    }

    /// What is new in its leaf of a group: the credential, if it was renewed since.
    pub(crate) fn leaf_update(&self, group: &Group) -> Result<LeafUpdate<'static>, Failure> {
        let own = group.member(group.own_leaf())?;
        let renewed = own.is_some_and(|own| own.leaf.credential != self.credential);
        Ok(LeafUpdate { credential: renewed.then(|| self.credential()), ..LeafUpdate::default() })
    }

    /// What signs in groups of this suite.
    pub(crate) fn signer(&self, suite: &dyn CipherSuite) -> Result<&SoftwareSigner, Failure> {
        let scheme = scheme(suite.id());
        let found = self.keys.iter().find(|(id, _)| *id == scheme);
        found.map(|(_, key)| key).ok_or_else(|| {
            let fits =
                |other: &&&dyn CipherSuite| self.keys.iter().any(|(id, _)| *id == self::scheme(other.id()));
            let fitting =
                PROVIDER.suites.iter().filter(fits).map(|suite| format!("--suite {}", suite.id().0));
            let message = format!("the certificate's key does not sign in groups with {}", suite.id());
            Failure::refused(message).advise(format!(
                "choose a suite that it fits (where there is a choice): {}",
                fitting.collect::<Vec<_>>().join(" or ")
            ))
        })
    }

    /// The same with a newer chain for its key, which names the same.
    pub(crate) fn renewed(self, certificates: Vec<Certificate>) -> Result<Self, Failure> {
        let credential = Credential::X509 { certificates: certificates.clone() };
        let (old, new) = match (x509::presented(&self.credential), x509::presented(&credential)) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(X509Error::OtherType), _) => {
                return Err(Failure::refused("this home has a name and no certificate")
                    .advise("for a certificate, make a new home: `hushwood identity new --certificate`"));
            }
            (_, Err(error)) | (Err(error), _) => return Err(Failure::refused(error.to_string())),
        };
        let same_key =
            self.keys.iter().all(|(_, key)| x509::check_binding(&certificates, key.public_key()).is_ok());
        if old != new || !same_key {
            return Err(Failure::refused("this certificate is for another key or names somebody else")
                .advise("have the old key and names certified again, or make a new home with the new ones"));
        }
        Ok(Self { credential, ..self })
    }

    /// True for what this home shows of itself.
    pub(crate) fn is(&self, claim: &Claim) -> bool {
        self.claims().any(|own| own == *claim)
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
    Ok(Number::of_member(sha512()?, credential, key)?)
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
        writer.raw(&[BASIC]).opaque(b"desk");
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
