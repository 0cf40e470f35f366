//! What every part of the core needs: the store, keys, cryptography, judgement.

use std::collections::BTreeMap;

use hushwood::credential::{Claim, Credential, CredentialType};
use hushwood::error::Error as ProtocolError;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::policy::Policy;
use hushwood::transition::{InstanceId, Persist, Records};
use hushwood::tree::{LeafContent, Supported};
use hushwood_codec::wire_struct;
use hushwood_crypto::{
    CipherSuite, CipherSuiteId, CryptoProvider, Random, Secret, SignaturePrivateKey, Signer, SoftwareSigner,
};
use hushwood_delivery::rules::RULES_EXTENSION;
use hushwood_delivery::wire::GroupKey;

use crate::core::signers;
use crate::core::work::Work;
use crate::error::Error;
use crate::identity::{self, DeviceId, Member};
use crate::records::{DEVICE, DeviceRecord, get, row};
use crate::settings::{Provider, Settings, Signers};
use crate::trust::{Judge, Judgement, Trust};
use crate::voucher::VOUCHER;

/// A store of records, whichever it is.
pub trait Store: Records + Persist + Send {}

impl<S: Records + Persist + Send> Store for S {}

wire_struct! {
    /// Where a group is delivered: in its context, so that all members and all who are invited know it.
    pub(crate) struct GroupDelivery {
        pub(crate) version: u8,
        pub(crate) key: GroupKey,
    }
}

/// The extension of group contexts that holds [`GroupDelivery`], from the range for private use.
pub(crate) const DELIVERY: ExtensionType = ExtensionType(0xF0D1);

/// The row with the word of the device that has linked us.
pub(crate) const VOUCHER_ROW: &str = "voucher";

/// What every part of the core needs.
pub(crate) struct Env {
    pub(crate) store: Box<dyn Store>,
    /// The version that our rows must have.
    pub(crate) version: u64,
    pub(crate) crypto: CryptoProvider,
    pub(crate) random: Box<dyn Random + Send>,
    pub(crate) settings: Settings,
    pub(crate) policy: Policy,
    pub(crate) judge: Judge,
    pub(crate) device: Device,
    /// The word of the device that has linked us, as it stands in our leaves.
    voucher: Option<Vec<u8>>,
    /// Keys that were not believed, by whose they are said to be.
    pub(crate) refused: BTreeMap<Member, Claim>,
    /// The service's clock minus ours, in seconds.
    pub(crate) skew: i64,
}

/// Who we are.
pub(crate) struct Device {
    pub(crate) record: DeviceRecord,
    pub(crate) suite: &'static dyn CipherSuite,
    pub(crate) member: Member,
    /// For groups.
    pub(crate) signer: Box<dyn Signer>,
    /// For the service.
    pub(crate) device_signer: Box<dyn Signer>,
}

impl Env {
    /// What the store has, whosever it is, or a new device of this person.
    pub(crate) fn open(
        store: Box<dyn Store>,
        provider: Provider,
        (person, service): (&str, &str),
        trust: Trust,
        settings: Settings,
    ) -> Result<(Self, Work), Error> {
        let Provider { crypto, mut random, signers } = provider;
        let mut work = Work::new();
        let (record, is_new) = match get(&*store, &row(DEVICE, ""))? {
            Some(record) => (DeviceRecord::from_row(&record)?, false),
            None => {
                let mut record = new_device((person, service), &crypto, settings.suite, &mut *random)?;
                if signers.is_some() {
                    // They are not ours to keep.
                    (record.leaf_key, record.device_key) = (Secret::new(Vec::new()), Secret::new(Vec::new()));
                }
                work.put(row(DEVICE, ""), record.to_row()?);
                (record, true)
            }
        };
        if record.suite != settings.suite.0 {
            let store = CipherSuiteId(record.suite);
            return Err(Error::OtherSuite { store, settings: settings.suite });
        }
        let suites = (suite_of(&crypto, CipherSuiteId(record.suite))?, ed25519(&crypto)?);
        if let Some(signers) = &signers {
            let records: &dyn Records = &*store;
            signers::check(signers, suites, (records, is_new), &mut work)?;
        }
        let device = Device::new(record, suites, signers)?;
        let own = Claim {
            credential: identity::credential(&device.member.person, device.member.device),
            signature_key: device.signer.public_key().clone(),
        };
        let judge = Judge::open(trust, (device.record.service.clone(), own), &*store)?;
        let version = store.version(InstanceId::CLIENT).map_err(ProtocolError::from)?;
        let policy = settings.policy();
        let env = Self {
            store,
            version,
            crypto,
            random,
            settings,
            policy,
            judge,
            device,
            voucher: None,
            refused: BTreeMap::new(),
            skew: 0,
        };
        Ok((env, work))
    }

    pub(crate) fn suite(&self) -> &'static dyn CipherSuite {
        self.device.suite
    }

    /// What our leaves say of us.
    pub(crate) fn leaf_content(&self) -> LeafContent {
        LeafContent {
            credential: self.credential(),
            supported: self.supported(),
            extensions: self.leaf_extensions(),
        }
    }

    /// What the device that has linked us says of us.
    pub(crate) fn leaf_extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        if let Some(voucher) = &self.voucher {
            extensions.set(VOUCHER, voucher.clone());
        }
        extensions
    }

    pub(crate) fn supported(&self) -> Supported {
        let mut supported = Supported::new(&self.crypto);
        supported.suites = vec![self.suite().id()];
        supported.extensions.extend([DELIVERY, VOUCHER, RULES_EXTENSION]);
        if self.judge.is_of_the_application() {
            // Pins are of basic credentials: where nobody judges others, nobody with one comes in (RFC 9420 §7.3).
            supported.credentials.push(CredentialType::X509);
        }
        supported
    }

    pub(crate) fn credential(&self) -> Credential {
        identity::credential(&self.device.member.person, self.device.member.device)
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim { credential: self.credential(), signature_key: self.device.signer.public_key().clone() }
    }

    pub(crate) fn service(&self) -> String {
        String::from_utf8_lossy(&self.device.record.service).into_owned()
    }

    pub(crate) fn random<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let random: &mut dyn Random = &mut *self.random;
        Ok(random.array()?)
    }

    /// Remembers whose key was not believed, so that it can be trusted.
    pub(crate) fn doubt(&mut self, judgement: &Judgement) {
        if let (Some(member), Some(claim)) = (&judgement.refused, &judgement.refused_claim) {
            self.refused.insert(member.clone(), claim.clone());
        }
    }

    /// We are of this account, which spells its name so, at this service.
    pub(crate) fn rename(&mut self, person: &[u8], service: &[u8]) {
        self.device.record.person = person.to_vec();
        self.device.record.service = service.to_vec();
        self.is_as_recorded();
    }

    fn is_as_recorded(&mut self) {
        self.device.member.person = String::from_utf8_lossy(&self.device.record.person).into_owned();
        let own = self.claim();
        self.judge.is_ours(self.device.record.service.clone(), own);
    }

    /// Reads again who we are.
    pub(crate) fn reload_device(&mut self) -> Result<(), Error> {
        if let Some(record) = get(&*self.store, &row(DEVICE, ""))? {
            self.device.record = DeviceRecord::from_row(&record)?;
            self.is_as_recorded();
        }
        self.voucher = get(&*self.store, &row(DEVICE, VOUCHER_ROW))?.map(|row| row.expose().to_vec());
        Ok(())
    }

    /// Writes, or says why not. The caller reads everything again if it fails.
    pub(crate) fn persist(&mut self, work: Work) -> Result<(), Error> {
        let Work { mut writes, .. } = work;
        writes.require(InstanceId::CLIENT, self.version);
        self.store.persist(&writes)?;
        self.version = self.version.saturating_add(1);
        Ok(())
    }
}

impl Device {
    fn new(
        record: DeviceRecord,
        (suite, ed25519): (&'static dyn CipherSuite, &'static dyn CipherSuite),
        signers: Option<Signers>,
    ) -> Result<Self, Error> {
        let signers = match signers {
            Some(signers) => signers,
            None if record.leaf_key.is_empty() => return Err(Error::OtherSigner),
            None => {
                let key = |key: &Secret| SignaturePrivateKey(key.duplicate());
                Signers {
                    groups: Box::new(SoftwareSigner::new(suite, key(&record.leaf_key))?),
                    service: Box::new(SoftwareSigner::new(ed25519, key(&record.device_key))?),
                }
            }
        };
        let person = String::from_utf8_lossy(&record.person).into_owned();
        let member = Member { person, device: DeviceId(record.device) };
        Ok(Self { record, suite, member, signer: signers.groups, device_signer: signers.service })
    }
}

/// The suite of groups that are made here.
fn new_device(
    (person, service): (&str, &str),
    crypto: &CryptoProvider,
    suite: CipherSuiteId,
    random: &mut dyn Random,
) -> Result<DeviceRecord, Error> {
    let leaf_suite = suite_of(crypto, suite)?;
    let leaf_key = SoftwareSigner::generate(leaf_suite, random)?;
    let device_key = SoftwareSigner::generate(ed25519(crypto)?, random)?;
    Ok(DeviceRecord {
        service: service.as_bytes().to_vec(),
        account: random.array()?,
        person: person.as_bytes().to_vec(),
        device: random.array()?,
        device_key: device_key.private_key().0.duplicate(),
        suite: suite.0,
        leaf_key: leaf_key.private_key().0.duplicate(),
        registered: 0,
        last_resort_at: 0,
    })
}

/// Devices show themselves to the service with Ed25519 keys, whatever the suite of groups.
fn ed25519(crypto: &CryptoProvider) -> Result<&'static dyn CipherSuite, Error> {
    suite_of(crypto, CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519)
}

fn suite_of(crypto: &CryptoProvider, id: CipherSuiteId) -> Result<&'static dyn CipherSuite, Error> {
    crypto.suite(id).ok_or(Error::NoSuite(id))
}
