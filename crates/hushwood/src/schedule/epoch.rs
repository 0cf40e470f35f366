//! RFC 9420 §8: from one epoch's secrets to the next one's.
//!
//! The diagram of the key schedule as a chain of types: each function takes the secret above by value
//! and gives the one below, so that what has been used is erased where it was used (§9.2, C187).
//!
//! ```text
//! InitSecret, CommitSecret -> JoinerSecret, PskSecret -> IntermediateSecret -> EpochSecret -> EpochSecrets
//!                                                        `-> WelcomeSecret                 `-> EncryptionSecret
//! ```

use hushwood_codec::{DecodeError, DecodeLimits, Reader, Writer};
use hushwood_crypto::{CipherSuite, Random, Secret, derive_secret, expand_with_label, expand_with_labels};

use crate::error::{Error, StoreReadError};
use crate::schedule::types::{
    CommitSecret, ConfirmationKey, EncryptionSecret, EpochAuthenticator, EpochSecret, ExporterSecret,
    ExternalSecret, InitSecret, IntermediateSecret, JoinerSecret, MembershipKey, PskSecret, ResumptionPsk,
    SenderDataSecret, WelcomeSecret,
};

/// What a member keeps of an epoch's secrets (RFC 9420 §8, "Epoch-Derived Secrets").
///
/// The `encryption_secret` is not among them: the secret tree takes it over and consumes it.
#[derive(Debug)]
pub struct EpochSecrets {
    /// For the next epoch.
    pub init: InitSecret,
    /// For the sender data of encrypted messages.
    pub sender_data: SenderDataSecret,
    /// For exported secrets.
    pub exporter: ExporterSecret,
    /// For the external key pair.
    pub external: ExternalSecret,
    /// For confirmation tags.
    pub confirmation: ConfirmationKey,
    /// For membership tags.
    pub membership: MembershipKey,
    /// To be injected into a later epoch or another group.
    pub resumption: ResumptionPsk,
    /// To be compared with other members.
    pub authenticator: EpochAuthenticator,
}

impl InitSecret {
    /// A second copy: a commit is staged on one, since it may be dropped again (RFC 9420 §14, C402).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::new(self.secret().duplicate())
    }
}

impl CommitSecret {
    /// The secret of a commit without path (RFC 9420 §12.4.1, C300).
    #[must_use]
    pub fn zero(suite: &dyn CipherSuite) -> Self {
        Self::new(Secret::zero(suite.kdf().length()))
    }
}

impl JoinerSecret {
    /// The `joiner_secret` of the epoch that `group_context` (encoded) describes.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract.
    pub fn derive(
        suite: &dyn CipherSuite,
        init: InitSecret,
        commit: CommitSecret,
        group_context: &[u8],
    ) -> Result<Self, Error> {
        let extracted = suite.kdf().extract(init.secret().expose(), &[commit.secret().expose()]);
        let length = suite.kdf().length();
        Ok(Self::new(expand_with_label(suite, &extracted, "joiner", group_context, length)?))
    }

    /// Adds the pre-shared keys. The joiner secret is borrowed because a committer has still to seal it
    /// for those who join.
    #[must_use]
    pub fn with_psk(&self, suite: &dyn CipherSuite, psk: PskSecret) -> IntermediateSecret {
        IntermediateSecret::new(suite.kdf().extract(self.secret().expose(), &[psk.secret().expose()]))
    }
}

impl IntermediateSecret {
    /// The `welcome_secret`, which a joiner needs before it knows the epoch's group context.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract.
    pub fn welcome(&self, suite: &dyn CipherSuite) -> Result<WelcomeSecret, Error> {
        Ok(WelcomeSecret::new(derive_secret(suite, self.secret(), "welcome")?))
    }

    /// The `epoch_secret` of the epoch that `group_context` (encoded) describes.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract.
    pub fn epoch(self, suite: &dyn CipherSuite, group_context: &[u8]) -> Result<EpochSecret, Error> {
        let length = suite.kdf().length();
        Ok(EpochSecret::new(expand_with_label(suite, self.secret(), "epoch", group_context, length)?))
    }
}

impl EpochSecret {
    /// The secret of a new group's epoch 0 (RFC 9420 §11, C222).
    ///
    /// # Errors
    /// [`Error::Crypto`] if the randomness fails.
    pub fn random(suite: &dyn CipherSuite, random: &mut dyn Random) -> Result<Self, Error> {
        Ok(Self::new(random.secret(suite.kdf().length())?))
    }

    /// All that the epoch needs, with the secret that the epoch's secret tree begins with.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract.
    pub fn derive(self, suite: &dyn CipherSuite) -> Result<(EpochSecrets, EncryptionSecret), Error> {
        let labels = [
            "init",
            "sender data",
            "exporter",
            "external",
            "confirm",
            "membership",
            "resumption",
            "authentication",
            "encryption",
        ];
        let outputs = labels.map(|label| (label, &[][..], suite.kdf().length()));
        let [
            init,
            sender_data,
            exporter,
            external,
            confirmation,
            membership,
            resumption,
            authenticator,
            encryption,
        ] = expand_with_labels(suite, self.secret(), outputs)?;
        let secrets = EpochSecrets {
            init: InitSecret::new(init),
            sender_data: SenderDataSecret::new(sender_data),
            exporter: ExporterSecret::new(exporter),
            external: ExternalSecret::new(external),
            confirmation: ConfirmationKey::new(confirmation),
            membership: MembershipKey::new(membership),
            resumption: ResumptionPsk::new(resumption),
            authenticator: EpochAuthenticator::new(authenticator),
        };
        Ok((secrets, EncryptionSecret::new(encryption)))
    }
}

impl EpochSecrets {
    /// The secrets as a store keeps them.
    ///
    /// # Errors
    /// None in practice: the secrets are as long as a hash.
    pub fn to_record(&self) -> Result<Secret, Error> {
        let secrets = self.in_order();
        // Room for everything at once: a growing buffer would leave secrets behind where it was.
        let length = secrets.iter().fold(0, |sum: usize, secret| sum.saturating_add(secret.len() + 4));
        let mut writer = Writer::with_capacity(length);
        for secret in secrets {
            writer.value(secret);
        }
        Ok(Secret::new(writer.finish()?))
    }

    /// Reads the secrets back.
    ///
    /// # Errors
    /// [`StoreReadError::Corrupt`] if these are not the secrets of an epoch under this suite.
    pub fn from_record(suite: &dyn CipherSuite, record: &Secret) -> Result<Self, Error> {
        Self::decode(suite.kdf().length(), record.expose()).map_err(|_| StoreReadError::Corrupt.into())
    }

    fn decode(length: usize, record: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record, DecodeLimits::default())?;
        let mut next = || stored_secret(&mut reader, length);
        let secrets = Self {
            init: InitSecret::new(next()?),
            sender_data: SenderDataSecret::new(next()?),
            exporter: ExporterSecret::new(next()?),
            external: ExternalSecret::new(next()?),
            confirmation: ConfirmationKey::new(next()?),
            membership: MembershipKey::new(next()?),
            resumption: ResumptionPsk::new(next()?),
            authenticator: EpochAuthenticator::new(next()?),
        };
        reader.finish()?;
        Ok(secrets)
    }

    /// The resumption PSK in a record, without the suite that the others are checked by.
    ///
    /// # Errors
    /// [`DecodeError`] if these are not the secrets of an epoch.
    pub(crate) fn resumption_in_record(record: &[u8]) -> Result<Secret, DecodeError> {
        let mut reader = Reader::new(record, DecodeLimits::default())?;
        for _ in BEFORE_RESUMPTION {
            reader.opaque()?;
        }
        Ok(Secret::copy_of(reader.opaque()?))
    }

    fn in_order(&self) -> [&Secret; 8] {
        [
            self.init.secret(),
            self.sender_data.secret(),
            self.exporter.secret(),
            self.external.secret(),
            self.confirmation.secret(),
            self.membership.secret(),
            self.resumption.secret(),
            self.authenticator.secret(),
        ]
    }
}

/// The secrets that stand before the resumption PSK in a record.
const BEFORE_RESUMPTION: [&str; 6] = ["init", "sender data", "exporter", "external", "confirm", "membership"];

/// A secret of a stored record, which must have the length that its suite gives it.
pub(crate) fn stored_secret(reader: &mut Reader<'_>, length: usize) -> Result<Secret, DecodeError> {
    let bytes = reader.opaque()?;
    if bytes.len() != length {
        return Err(reader.error(hushwood_codec::DecodeErrorKind::EndOfInput));
    }
    Ok(Secret::copy_of(bytes))
}
