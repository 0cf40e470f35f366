//! What every part of the core needs: the store, keys, cryptography, judgement.

use std::collections::BTreeMap;

use hushwood::credential::{Claim, Credential};
use hushwood::error::Error as ProtocolError;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::policy::Policy;
use hushwood::transition::{InstanceId, Persist, Records};
use hushwood::tree::{LeafContent, Supported};
use hushwood_codec::wire_struct;
use hushwood_crypto::{
    CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, Random, Secret, SignaturePrivateKey, Signer,
    SoftwareSigner,
};
use hushwood_delivery::wire::GroupKey;

use crate::core::work::Work;
use crate::error::Error;
use crate::identity::{self, DeviceId, Member};
use crate::records::{DEVICE, DeviceRecord, get, row};
use crate::settings::{Provider, Settings};
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
    pub(crate) signer: SoftwareSigner,
    /// For the service.
    pub(crate) device_signer: SoftwareSigner,
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
        let Provider { crypto, mut random } = provider;
        let mut work = Work::new();
        let record = match get(&*store, &row(DEVICE, ""))? {
            Some(record) => DeviceRecord::from_row(&record)?,
            None => {
                let record = new_device((person, service), &crypto, settings.suite, &mut *random)?;
                work.put(row(DEVICE, ""), record.to_row()?);
                record
            }
        };
        let device = Device::new(record, &crypto)?;
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
        supported.extensions.extend([DELIVERY, VOUCHER]);
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
    fn new(record: DeviceRecord, crypto: &CryptoProvider) -> Result<Self, Error> {
        let suite = crypto.suite(CipherSuiteId(record.suite)).ok_or(CryptoError::Provider)?;
        let key = |key: &Secret| SignaturePrivateKey(key.duplicate());
        let signer = SoftwareSigner::new(suite, key(&record.leaf_key))?;
        let device_signer = SoftwareSigner::new(ed25519(crypto)?, key(&record.device_key))?;
        let person = String::from_utf8_lossy(&record.person).into_owned();
        let member = Member { person, device: DeviceId(record.device) };
        Ok(Self { record, suite, member, signer, device_signer })
    }
}

fn new_device(
    (person, service): (&str, &str),
    crypto: &CryptoProvider,
    suite: CipherSuiteId,
    random: &mut dyn Random,
) -> Result<DeviceRecord, Error> {
    let leaf_suite = crypto.suite(suite).ok_or(CryptoError::Provider)?;
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
    let suite = crypto.suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519);
    Ok(suite.ok_or(CryptoError::Provider)?)
}
