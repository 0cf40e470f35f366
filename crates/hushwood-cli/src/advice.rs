//! What to do about errors of the client library, for who has `hushwood bot`.

use hushwood::error::{ApiMisuse, Error as Protocol, StoreReadError};
use hushwood::transition::PersistError;
use hushwood_client::{Error, TransportError};
use hushwood_delivery::wire::{RefusalCode, Refused};

use crate::failure::{Class, Failure};

/// The way out of a damaged home of a bot.
pub(crate) const RESTORE_CLIENT: &str = "put a copy of the home in its place and `rejoin` each room before you send, or begin in a new \
     home (`--home DIR`) and `link` that";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(error) => of_protocol(error),
            Error::Store(error) => of_store(error),
            Error::Transport(error) => of_transport(&error),
            Error::Refused(refused) => of_refusal(&refused),
            Error::BadAnswer(_) => Self::new(Class::Violation, error.to_string()),
            Error::OtherIdentity { person, service } => {
                let message = format!("this home belongs to {person:?} at the delivery service {service:?}");
                Self::refused(message).advise(
                    "begin with this name and this service (`hushwood bot NAME --service NAME`), or name another home with \
                     `--home DIR`",
                )
            }
            Error::OtherService { service } => Self::refused(format!(
                "the delivery service does not take what is signed for {service:?}: its name is another one"
            ))
            .advise("name it as `hushwood serve` does when it begins: `--service NAME`"),
            Error::Revoked => Self::refused("this device was taken out of its account, and does not come back")
                .advise(
                    "begin in a new home (`--home DIR`), and ask for `link` there and `authorize` on another device of \
                     the account",
                ),
            Error::UnknownDevice => Self::refused(
                "the delivery service does not know this device: it was taken out of its account, or this is another service \
                 of the same name",
            )
            .advise(
                "see that `--server` is the one that this home was made with, and that its data is there; if so, begin in a new \
                 home (`--home DIR`), and ask for `link` there and `authorize` on another device of the account",
            ),
            // The others say what to do in the same breath, but for where it is to be asked for.
            error => {
                let failure = Self::refused(error.to_string());
                match error {
                    Error::NoRoom => failure.advise("`rooms` tells which there are"),
                    Error::NotLinked(_) => failure.advise("ask for `link` here, and for `authorize` there, once more"),
                    Error::NoSuchDevice { .. } => failure.advise("`devices` tells them"),
                    Error::KeyChanged { .. } => failure.advise(
                        "`doubts` has the number of the key that was shown: `trust` it, `accept_key`, or `distrust`",
                    ),
                    Error::UnknownKey { .. } => failure.advise(
                        "`doubts` has the number of the key that was shown; if it is theirs, ask for `trust`, then again \
                         for what you wanted",
                    ),
                    _ => failure,
                }
            }
        }
    }
}

fn of_protocol(error: Protocol) -> Failure {
    let advice = match &error {
        Protocol::StoreRead(StoreReadError::Corrupt | StoreReadError::Missing) => Some(RESTORE_CLIENT),
        Protocol::ApiMisuse(ApiMisuse::TooLong) => {
            Some("send it in parts: the service takes less than 1 MiB at once")
        }
        Protocol::ApiMisuse(ApiMisuse::ExportTooLong) => {
            Some("ask for less: at most 255 times the length of the suite's hash")
        }
        _ => None,
    };
    let failure = Failure::from(error).without_advice();
    match advice {
        Some(advice) => failure.advise(advice),
        None => failure,
    }
}

fn of_store(error: PersistError) -> Failure {
    let failure = Failure::from(error);
    match error {
        PersistError::Unknown => failure.advise(
            "see that the disk is well, and begin again: what was asked for is done or not done, never half",
        ),
        _ => failure,
    }
}

fn of_transport(error: &TransportError) -> Failure {
    let failure = Failure::new(Class::Io, error.to_string());
    match error {
        TransportError::Unreachable(why) if why.contains("corrupt message") => {
            failure.advise("what answers there speaks no TLS: `hushwood serve --plain` is reached by http://")
        }
        TransportError::Unreachable(_) => {
            failure.advise("see that `hushwood serve` runs, and that it is where `--server` says")
        }
        TransportError::WrongServer(_) => failure.advise(
            "give the fingerprint that `hushwood serve` prints when it begins, `--fingerprint HEX`, or the certificates that \
             vouch for it, `--ca FILE`",
        ),
        TransportError::Unknown(_) => failure.advise(
            "if it stays so, see that the server is well, and that `--server` begins with https:// (http:// is for `hushwood \
             serve --plain` behind a proxy)",
        ),
        TransportError::Garbled(_) => failure.advise("see that `--server` is the address of a `hushwood serve`"),
        _ => failure,
    }
}

fn of_refusal(refused: &Refused) -> Failure {
    let failure = Failure::refused(Error::Refused(refused.clone()).to_string());
    match refused.code {
        RefusalCode::TAKEN => failure.advise(
            "begin with another name in the same home; if it is your own account, this is another device of yours: ask for \
             `link`",
        ),
        RefusalCode::FORBIDDEN if refused.text.contains("invite token") => {
            failure.advise("with what they give you: `--invite-token-file FILE`")
        }
        RefusalCode::MALFORMED if refused.text.contains("an account's name") => {
            failure.advise("name somebody otherwise; if it is your own name, begin with another one in the same home")
        }
        RefusalCode::TOO_LARGE => failure.advise("send it in parts"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bot_is_told_to_do_is_not_of_other_commands() {
        let errors = [
            Error::Protocol(StoreReadError::Corrupt.into()),
            Error::Protocol(ApiMisuse::TooLong.into()),
            Error::Protocol(hushwood::error::NotNow::EpochFuture.into()),
            Error::Store(PersistError::Unknown),
            Error::Store(PersistError::Full),
            Error::NoRoom,
            Error::Transport(TransportError::Unreachable("refused".to_owned())),
            Error::Refused(Refused::new(RefusalCode::TOO_LARGE, "a message")),
        ];
        for error in errors {
            let said = Failure::from(error).to_json()["advice"].to_string();
            for other in ["hushwood group", "hushwood join", "hushwood receive", "hushwood inspect"] {
                assert!(!said.contains(other), "{said}");
            }
        }
    }
}
