//! Cipher suites on the command line.

use std::str::FromStr;

use hushwood_crypto::CipherSuiteId;

use crate::system::PROVIDER;

/// A suite of this program, by number or by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SuiteArg(pub(crate) CipherSuiteId);

/// The suite that is mandatory to implement, and fast.
pub(crate) const DEFAULT: &str = "1";

impl FromStr for SuiteArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ids = PROVIDER.suites.iter().map(|suite| suite.id());
        let number = text.parse::<u16>().ok();
        let found = ids.find(|id| Some(id.0) == number || id.to_string().eq_ignore_ascii_case(text));
        found.map(Self).ok_or_else(|| {
            let mut known: Vec<_> = PROVIDER.suites.iter().map(|suite| suite.id()).collect();
            known.sort();
            let known: Vec<_> = known.iter().map(|id| format!("{} {id}", id.0)).collect();
            format!("known are: {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_go_by_number_and_by_name() {
        for id in 1..=7 {
            let id = CipherSuiteId(id);
            assert_eq!(id.0.to_string().parse(), Ok(SuiteArg(id)));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(SuiteArg(id)));
        }
        assert!("8".parse::<SuiteArg>().unwrap_err().contains("7 MLS_256_DHKEMP384"));
    }
}
