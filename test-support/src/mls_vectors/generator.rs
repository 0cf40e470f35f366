//! What vectors are made from: the suites, and a seed that all else comes from.

use std::fs;
use std::io;
use std::path::Path;

use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider};
use rayon::ThreadPoolBuilder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{File, files};
use crate::random::SeededRandom;

/// Makes files of vectors, always the same ones from the same seed and suites.
///
/// The provider is the one in pure Rust: it signs without randomness of its own, so that nothing depends on
/// anything but the seed.
#[derive(Debug)]
pub struct Generator {
    provider: &'static CryptoProvider,
    suites: Vec<&'static dyn CipherSuite>,
    seed: u64,
}

impl Generator {
    /// For these suites, or for all if there are none.
    ///
    /// # Errors
    /// The first suite that the provider lacks.
    pub fn new(suites: &[CipherSuiteId], seed: u64) -> Result<Self, CipherSuiteId> {
        let provider = &hushwood_rustcrypto::PROVIDER;
        let suites = match suites {
            [] => provider.suites.to_vec(),
            some => some.iter().map(|id| provider.suite(*id).ok_or(*id)).collect::<Result<_, _>>()?,
        };
        Ok(Self { provider, suites, seed })
    }

    /// The text of a file.
    ///
    /// # Panics
    /// If our own implementation refuses what it is told to make.
    #[must_use]
    pub fn text(&self, file: &File) -> String {
        // What is drawn for many recipients at once depends on the number of threads.
        let alone = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        alone.install(|| (file.generate)(self))
    }

    /// Writes all files into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// As writing has them.
    pub fn write_all(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for file in files() {
            fs::write(folder.join(file.stem).with_extension("json"), self.text(file))?;
        }
        Ok(())
    }

    /// Where all come from.
    pub(super) fn provider(&self) -> &'static CryptoProvider {
        self.provider
    }

    /// A file with the vectors that are made for each suite.
    pub(super) fn each_suite<V: Serialize>(
        &self,
        stem: &str,
        make: impl Fn(&'static dyn CipherSuite, &mut SeededRandom) -> Vec<V>,
    ) -> String {
        let of = |suite: &&'static dyn CipherSuite| make(*suite, &mut self.random(stem, suite.id().0));
        to_json(&self.suites.iter().flat_map(of).collect::<Vec<_>>())
    }

    /// The randomness of a file and a suite: a file is the same whatever others are made.
    fn random(&self, stem: &str, suite: u16) -> SeededRandom {
        let digest = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(suite.to_be_bytes())
            .chain_update(stem)
            .finalize();
        SeededRandom::new(u64::from_be_bytes(digest[..8].try_into().expect("eight bytes")))
    }
}

/// The text of a file.
pub(super) fn to_json<V: Serialize>(vectors: &[V]) -> String {
    serde_json::to_string_pretty(vectors).expect("vectors are JSON") + "\n"
}
