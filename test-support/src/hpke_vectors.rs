//! The vectors of RFC 9180, appendix A, and their condensed form with one hash over many messages.

use std::fs;

use hushwood_crypto::hpke::{HpkeContext, Psk};
use hushwood_crypto::{
    Aead, CipherSuite, CryptoError, CryptoProvider, HpkePrivateKey, HpkePublicKey, Secret, Suite,
};
use serde::Deserialize;
use shake::{ExtendableOutput, Shake128, Update, XofReader};

use crate::random::FixedRandom;
use crate::table::Row;

/// Appendix A of RFC 9180, the modes base and PSK.
const APPENDIX_A: &str = include_str!("../vectors/rfc9180-appendix-a.json");

/// Runs appendix A, and the condensed form `hpke/rfc9180.json` where the vectors' folder has it.
///
/// # Panics
/// If a file can't be parsed.
#[must_use]
pub fn run(provider: &CryptoProvider) -> Row {
    let mut row = Row::new("hpke", provider.name);
    run_file(provider, APPENDIX_A, &mut row);
    let condensed = crate::vectors::folder().map(|folder| folder.join("hpke/rfc9180.json"));
    if let Some(Ok(condensed)) = condensed.map(fs::read_to_string) {
        run_file(provider, &condensed, &mut row);
    }
    row
}

fn run_file(provider: &CryptoProvider, json: &str, row: &mut Row) {
    let vectors: Vec<Vector> = serde_json::from_str(json).unwrap();
    for (index, vector) in vectors.iter().enumerate() {
        let which = format!(
            "{index}: mode {}, KEM {}, KDF {}, AEAD {}",
            vector.mode, vector.kem_id, vector.kdf_id, vector.aead_id
        );
        match vector.suite(provider) {
            // The Auth modes are not offered.
            Some(suite) if vector.mode <= 1 => vector.run(&suite, &mut |part, good| {
                row.case(good, || format!("{which}: {part}"));
            }),
            _ => row.skipped += 1,
        }
    }
}

/// One vector; in the condensed form the lists are empty.
#[derive(Deserialize)]
struct Vector {
    mode: u8,
    kem_id: u16,
    kdf_id: u16,
    aead_id: u16,
    info: Hex,
    #[serde(rename = "ikmE")]
    ikm_e: Hex,
    #[serde(rename = "ikmR")]
    ikm_r: Hex,
    #[serde(rename = "skRm")]
    sk_rm: Hex,
    #[serde(rename = "pkRm")]
    pk_rm: Hex,
    enc: Hex,
    shared_secret: Option<Hex>,
    psk: Option<Hex>,
    psk_id: Option<Hex>,
    #[serde(default)]
    encryptions: Vec<Encryption>,
    encryptions_accumulated: Option<Hex>,
    #[serde(default)]
    exports: Vec<Export>,
    exports_accumulated: Option<Hex>,
}

#[derive(Deserialize)]
struct Encryption {
    /// Appendix A leaves numbers out; where there is none, it is the next one.
    sequence: Option<usize>,
    aad: Hex,
    #[serde(alias = "plaintext")]
    pt: Hex,
    #[serde(alias = "ciphertext")]
    ct: Hex,
}

#[derive(Deserialize)]
struct Export {
    exporter_context: Hex,
    #[serde(rename = "L")]
    length: usize,
    exported_value: Hex,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

impl Vector {
    /// A suite of the vector's primitives, wherever among the provider's suites they are.
    fn suite(&self, provider: &CryptoProvider) -> Option<Suite> {
        let suites = || provider.suites.iter().copied();
        let kdf = suites().map(CipherSuite::kdf).find(|kdf| kdf.id() == self.kdf_id)?;
        let kem = suites().map(CipherSuite::kem).find(|kem| kem.id() == self.kem_id)?;
        let aead = match self.aead_id {
            0xffff => &ExportOnly,
            id => suites().map(CipherSuite::aead).find(|aead| aead.id() == id)?,
        };
        let any = suites().next()?;
        Some(Suite { id: any.id(), hash: any.hash(), kdf, aead, kem, signature: any.signature() })
    }

    fn run(&self, suite: &Suite, case: &mut dyn FnMut(&str, bool)) {
        let (private, public) = suite.kem.derive_key_pair(&self.ikm_r.0).unwrap();
        case("skRm", private.0.expose() == self.sk_rm.0);
        case("pkRm", public.0 == self.pk_rm.0);
        let private = HpkePrivateKey(Secret::copy_of(&self.sk_rm.0));
        let public = HpkePublicKey(self.pk_rm.0.clone());
        case("public key", suite.kem.public_key(&private) == Ok(public.clone()));
        if let Some(shared_secret) = &self.shared_secret {
            let secret = suite.kem.decap(&self.enc.0, &private);
            case("shared secret", secret.is_ok_and(|secret| secret.expose() == shared_secret.0));
        }

        let psk = self.psk.as_ref().map(|psk| Secret::copy_of(&psk.0));
        let psk = psk.as_ref().zip(self.psk_id.as_ref()).map(|(key, id)| Psk { key, id: &id.0 });
        assert_eq!(psk.is_some(), self.mode == 1);
        let random = &mut FixedRandom(self.ikm_e.0.clone());
        let (enc, mut sender) = HpkeContext::sender(suite, &public, &self.info.0, psk, random).unwrap();
        case("enc", enc == self.enc.0);
        let mut receiver = HpkeContext::receiver(suite, &enc, &private, &self.info.0, psk).unwrap();

        self.run_encryptions(&mut sender, &mut receiver, case);
        self.run_exports(&sender, &receiver, case);
        if self.aead_id == 0xffff {
            case("export only", sender.seal(b"", b"").is_err() && receiver.open(b"", b"").is_err());
        }
    }

    fn run_encryptions(
        &self,
        sender: &mut HpkeContext<'_>,
        receiver: &mut HpkeContext<'_>,
        case: &mut dyn FnMut(&str, bool),
    ) {
        let mut next = 0;
        for Encryption { sequence, aad, pt, ct } in &self.encryptions {
            while next < sequence.unwrap_or(next) {
                receiver.open(b"", &sender.seal(b"", b"").unwrap()).unwrap();
                next += 1;
            }
            let sealed = sender.seal(&aad.0, &pt.0).unwrap();
            let opened = receiver.open(&aad.0, &sealed);
            let good = sealed == ct.0 && opened.is_ok_and(|opened| opened.expose() == pt.0);
            case(&format!("message {next}"), good);
            next += 1;
        }
        if let Some(expected) = &self.encryptions_accumulated {
            let (mut source, mut sink) = (Shake128::default().finalize_xof(), Shake128::default());
            let mut all_opened = true;
            for _ in 0..1000 {
                let (aad, plaintext) = (draw(&mut source), draw(&mut source));
                let sealed = sender.seal(&aad, &plaintext).unwrap();
                sink.update(&sealed);
                all_opened &= receiver.open(&aad, &sealed).is_ok_and(|opened| opened.expose() == plaintext);
            }
            case("1000 messages", all_opened && squeeze(sink, expected.0.len()) == expected.0);
        }
    }

    fn run_exports(
        &self,
        sender: &HpkeContext<'_>,
        receiver: &HpkeContext<'_>,
        case: &mut dyn FnMut(&str, bool),
    ) {
        let export = |context: &[u8], length: usize| {
            let (exported, received) =
                (sender.export(context, length).unwrap(), receiver.export(context, length).unwrap());
            (exported.ct_eq(&received), exported)
        };
        for Export { exporter_context, length, exported_value } in &self.exports {
            let (same, exported) = export(&exporter_context.0, *length);
            case("export", same && exported.expose() == exported_value.0);
        }
        if let Some(expected) = &self.exports_accumulated {
            let (mut source, mut sink) = (Shake128::default().finalize_xof(), Shake128::default());
            let mut all_same = true;
            for length in 0..1000 {
                let (same, exported) = export(&draw(&mut source), length);
                sink.update(exported.expose());
                all_same &= same;
            }
            case("1000 exports", all_same && squeeze(sink, expected.0.len()) == expected.0);
        }
    }
}

/// A byte for the length, and as many bytes.
fn draw(source: &mut impl XofReader) -> Vec<u8> {
    let mut length = [0];
    source.read(&mut length);
    let mut bytes = vec![0; usize::from(length[0])];
    source.read(&mut bytes);
    bytes
}

fn squeeze(sink: Shake128, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    sink.finalize_xof().read(&mut bytes);
    bytes
}

/// The AEAD identifier 0xFFFF: no messages, exports only (RFC 9180 §7.3).
struct ExportOnly;

impl Aead for ExportOnly {
    fn id(&self) -> u16 {
        0xffff
    }

    fn key_length(&self) -> usize {
        0
    }

    fn nonce_length(&self) -> usize {
        0
    }

    fn tag_length(&self) -> usize {
        0
    }

    fn seal(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Provider)
    }

    fn open(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<Secret, CryptoError> {
        Err(CryptoError::Open)
    }
}
