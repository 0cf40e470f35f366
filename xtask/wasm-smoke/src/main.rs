//! The protocol at work in WebAssembly, with the pure-Rust provider: on every suite a KeyPackage is made,
//! encoded, decoded and validated, and what is sealed to its key is opened. Leaves with code 1 if anything
//! goes wrong, which in WebAssembly is a trap.
//!
//! Its randomness is a counter's hashes, since the browser's needs a page around it.

use std::process::ExitCode;

use hushwood::codec::{Decode, Encode};
use hushwood::credential::Credential;
use hushwood::crypto::hpke::HpkeInfo;
use hushwood::crypto::{CipherSuite, CryptoError, Hash, Random, SoftwareSigner};
use hushwood::error::Error;
use hushwood::extension::Extensions;
use hushwood::key_package::{self, KeyPackageBuilder};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafContent, Supported};
use hushwood::unverified::Unverified;
use hushwood_rustcrypto::{PROVIDER, SHA256};

fn main() -> ExitCode {
    let random = &mut Counter(0);
    let works = PROVIDER.suites.iter().all(|suite| key_package_round_trip(*suite, random).unwrap_or(false));
    if works && PROVIDER.suites.len() == 7 { ExitCode::SUCCESS } else { std::process::exit(1) }
}

fn key_package_round_trip(suite: &'static dyn CipherSuite, random: &mut dyn Random) -> Result<bool, Error> {
    let (policy, now) = (Policy::default(), Timestamp(1_800_000_000));
    let signer = SoftwareSigner::generate(suite, random)?;
    let credential = Credential::basic(*b"browser");
    let content =
        LeafContent { credential, supported: Supported::new(&PROVIDER), extensions: Extensions::new() };
    let made = KeyPackageBuilder::new(suite, content).build(&signer, &policy, now, random)?;

    let received = Unverified::from_bytes(&made.key_package.to_bytes()?)?;
    let valid = key_package::validate(received, suite, &policy, now)?;
    let info = HpkeInfo::new(suite, "smoke", b"")?;
    let sealed = info.seal(&valid.key_package().init_key, b"hello", random)?;
    let opened = info.open(made.private.init_key(), &sealed)?;
    Ok(opened.expose() == b"hello" && *valid.key_package() == made.key_package)
}

/// Not random at all: for this program only.
struct Counter(u64);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            let block = SHA256.hash(&[&self.0.to_be_bytes()]);
            let block = block.as_bytes().get(..chunk.len()).ok_or(CryptoError::Random)?;
            chunk.copy_from_slice(block);
        }
        Ok(())
    }
}
