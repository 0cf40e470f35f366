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
