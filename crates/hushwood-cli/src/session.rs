//! What most commands begin with: the unlocked home and who lives in it.

use hushwood::error::Error;
use hushwood::framing::MlsMessage;
use hushwood::key_package::{self, ValidKeyPackage};
use hushwood::policy::Policy;
use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, CipherSuiteId};

use crate::args::Global;
use crate::failure::{Class, Failure};
use crate::files;
use crate::home::Home;
use crate::identity::Identity;
use crate::output::Output;
use crate::system::PROVIDER;
use crate::text;

/// An unlocked home with its identity.
pub(crate) struct Session {
    pub(crate) home: Home,
    pub(crate) identity: Identity,
    output: Output,
}

impl Session {
    pub(crate) fn open(global: &Global, output: Output) -> Result<Self, Failure> {
        let home = Home::open(global, output)?;
        let identity = Identity::load(&home)?;
        Ok(Self { home, identity, output })
    }

    /// After the thing was done: what is written behind it may wait. A full disk is told, and the message that
    /// has left or was shown counts.
    pub(crate) fn tidied(&self, tidied: Result<(), Failure>, again: &str) -> Result<(), Failure> {
        match tidied {
            Err(failure) if matches!(failure.class(), Class::Store | Class::Busy) => {
                let reason = failure.message().trim_start_matches("nothing was changed: ");
                self.output.remark(format!("done, but the home could not note it: {reason}"));
                self.output.remark(format!("  {again}"));
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// The suite of this number.
pub(crate) fn suite(id: CipherSuiteId) -> Result<&'static dyn CipherSuite, Failure> {
    PROVIDER.suite(id).ok_or_else(|| Error::from(hushwood::error::Unsupported::CipherSuite).into())
}

/// The KeyPackages in some files, valid now. Whose they are is still to be judged.
pub(crate) fn key_packages(paths: &[std::path::PathBuf]) -> Result<Vec<ValidKeyPackage>, Failure> {
    let mut packages = Vec::new();
    for path in paths {
        let about = |failure: Failure| failure.about(files::shown(Some(path)));
        let bytes = files::read_object(Some(path))?;
        for object in files::split::<MlsMessage>(&bytes).map_err(about)? {
            packages.push(key_package(object).map_err(about)?);
        }
    }
    Ok(packages)
}

fn key_package(message: &[u8]) -> Result<ValidKeyPackage, Failure> {
    let MlsMessage::KeyPackage(package) = MlsMessage::from_bytes(message).map_err(Error::from)? else {
        return Err(Failure::refused("this is no key package")
            .advise("whoever is to be invited makes one with `hushwood key-package`"));
    };
    let suite = suite(package.inspect().cipher_suite)?;
    Ok(key_package::validate(*package, suite, &Policy::default(), text::now())?)
}
