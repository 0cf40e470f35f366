//! Any MLS structure as text or JSON. Never a secret: structures that hold one are not read at all.

mod check;
mod fact;
mod object;
mod show;

use hushwood::framing::MlsMessage;
use hushwood::policy::Timestamp;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files;
use crate::output::Report;

pub(crate) use object::Kind;

/// Describes what `bytes` hold: one structure, or several messages in a row.
pub(crate) fn describe(
    bytes: &[u8],
    kind: Option<Kind>,
    full: bool,
    now: Timestamp,
) -> Result<Report, Failure> {
    let several =
        files::split::<MlsMessage>(bytes).ok().filter(|objects| kind.is_none() && objects.len() > 1);
    let Some(objects) = several else {
        let (json, text, invalid) = describe_one(bytes, kind, full, now)?;
        return Ok(finish(Report::new(), &text, vec![json], invalid));
    };
    let (mut report, mut values, mut invalid) = (Report::new(), Vec::new(), false);
    for object in objects {
        let (json, text, this_invalid) = describe_one(object, kind, full, now)?;
        report = report.line(text.trim_end());
        values.push(json);
        invalid |= this_invalid;
    }
    Ok(finish(report, "", values, invalid))
}

fn finish(report: Report, text: &str, values: Vec<Value>, invalid: bool) -> Report {
    let report = if text.is_empty() { report } else { report.line(text.trim_end()) };
    report.fact("valid", !invalid).fact("objects", values)
}

fn describe_one(
    bytes: &[u8],
    kind: Option<Kind>,
    full: bool,
    now: Timestamp,
) -> Result<(Value, String, bool), Failure> {
    let (kind, object, others) = match kind {
        Some(kind) => (kind, kind.read(bytes)?, Vec::new()),
        None => Kind::recognise(bytes)?,
    };
    let fact = object.fact();
    let checks = check::checks(&object, now);
    let others: Vec<_> = others.into_iter().map(Kind::name).collect();
    let json = json!({
        "kind": kind.name(),
        "could_also_be": others,
        "content": fact.to_json(),
        "checks": checks.iter().map(|check| check.fact().to_json()).collect::<Vec<_>>(),
    });
    let mut text = fact.to_text(kind.name(), full);
    if !others.is_empty() {
        text.push_str(&format!("could also be: {}\n", others.join(", ")));
    }
    if !checks.is_empty() {
        text.push_str("checks\n");
    }
    for check in &checks {
        text.push_str(&check.line());
        text.push('\n');
    }
    Ok((json, text, checks.iter().any(check::Check::is_invalid)))
}

#[cfg(test)]
mod tests {
    use hushwood::key_package::KeyPackageBuilder;
    use hushwood::policy::Policy;
    use hushwood::unverified::Unverified;
    use hushwood_codec::Encode;

    use super::*;
    use crate::identity::Identity;
    use crate::system::{OsRandom, PROVIDER};

    #[test]
    fn whatever_the_bytes_they_are_described_or_refused() {
        let identity = Identity::generate("desk").unwrap();
        let suite = PROVIDER.suites[0];
        let builder = KeyPackageBuilder::new(suite, identity.leaf_content());
        let (policy, now) = (Policy::default(), Timestamp(2_000_000_000));
        let new = builder.build(identity.signer(suite).unwrap(), &policy, now, &mut OsRandom).unwrap();
        let message = MlsMessage::KeyPackage(Box::new(Unverified::new(new.key_package)));
        let message = message.to_bytes().unwrap();
        assert!(describe(&message, None, false, now).is_ok());
        for length in 0..message.len() {
            assert!(describe(&message[..length], Some(Kind::MlsMessage), false, now).is_err());
            let _ = describe(&message[..length], None, true, now);
        }
        for place in 0..message.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut altered = message.clone();
                altered[place] ^= change;
                let _ = describe(&altered, None, true, now);
            }
        }
    }
}
