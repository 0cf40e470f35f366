//! `hushwood trust`: whose certificates are accepted.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hushwood::credential::{Certificate, Credential};
use serde_json::json;

use crate::anchors::{self, Anchor};
use crate::args::Global;
use crate::certificates;
use crate::failure::Failure;
use crate::files;
use crate::output::{Output, Report};
use crate::session::Session;

/// Choose whose X.509 certificates are accepted
///
/// Members that show a certificate instead of a name are accepted if it leads to a root certificate that was
/// added here. All members of a group should trust the same: those who do not accept a member part from the
/// others.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  hushwood trust add root.pem\n  hushwood trust list")]
pub(crate) struct TrustCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Trust root certificates, or add lists of revoked ones
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  hushwood trust add root.pem\n  hushwood trust add revoked.crl.pem")]
struct Add {
    /// Files with certificates or CRLs, in PEM; or one certificate in DER
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// List what certificates are judged by
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood trust list")]
struct List {}

/// Trust a root certificate no more, or drop a list of revoked ones
///
/// Members that are in a group stay in it until somebody removes them.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood trust remove 5f0c27aa")]
struct Remove {
    /// Its fingerprint, or the beginning of it: 8 digits or more
    fingerprint: String,
}

impl TrustCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let (command, report) = match self.action {
            Action::Add(add) => {
                let anchors = add.read()?;
                ("trust add", change(&mut Session::open(global, output)?, &anchors, true)?)
            }
            Action::List(List {}) => ("trust list", list(&Session::open(global, output)?)?),
            Action::Remove(remove) => {
                let mut session = Session::open(global, output)?;
                let anchor = remove.find(&session)?;
                ("trust remove", change(&mut session, &[anchor], false)?)
            }
        };
        output.finish(command, &report)
    }
}

impl Add {
    fn read(&self) -> Result<Vec<Anchor>, Failure> {
        let mut anchors = Vec::new();
        for file in &self.files {
            let crls = certificates::pem(&files::read(Some(file))?, "X509 CRL")?;
            match crls.is_empty() {
                false => {
                    anchors.extend(crls.iter().map(|crl| Anchor { crl: true, der: crl.expose().to_vec() }))
                }
                true => {
                    let chain = certificates::chain(file)?.into_iter();
                    anchors.extend(chain.map(|found| Anchor { crl: false, der: found.cert_data }));
                }
            }
        }
        Ok(anchors)
    }
}

impl Remove {
    fn find(&self, session: &Session) -> Result<Anchor, Failure> {
        let wanted: String =
            self.fingerprint.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        if wanted.len() < 8 {
            return Err(Failure::usage("give 8 digits of the fingerprint or more"));
        }
        let mut found = Vec::new();
        for anchor in anchors::all(&session.home)? {
            if anchor.fingerprint()?.starts_with(&wanted) {
                found.push(anchor);
            }
        }
        match <[Anchor; 1]>::try_from(found) {
            Ok([anchor]) => Ok(anchor),
            Err(found) if found.is_empty() => {
                Err(Failure::refused("nothing here has this fingerprint").advise("see `hushwood trust list`"))
            }
            Err(_) => Err(Failure::refused("several have this fingerprint").advise("give more of it")),
        }
    }
}

fn change(session: &mut Session, anchors: &[Anchor], add: bool) -> Result<Report, Failure> {
    session.home.retrying(|home| {
        let mut rows = home.begin()?;
        for anchor in anchors {
            match add {
                true => anchor.put(&mut rows)?,
                false => anchor.erase(&mut rows)?,
            }
        }
        home.write(rows)
    })?;
    let done = if add { "added " } else { "removed " };
    tell(Report::new(), done, anchors)
}

fn list(session: &Session) -> Result<Report, Failure> {
    let all = anchors::all(&session.home)?;
    if all.is_empty() {
        let line = "nobody; members with certificates are not accepted until you `hushwood trust add` a root";
        return Ok(Report::new().line(line).fact("trusted", json!([])));
    }
    tell(Report::new(), "", &all)
}

fn tell(mut report: Report, done: &str, anchors: &[Anchor]) -> Result<Report, Failure> {
    let mut trusted = Vec::new();
    for anchor in anchors {
        let fingerprint = anchor.fingerprint()?;
        let (kind, name) = match anchor.crl {
            true => ("crl", "list of revoked certificates".to_owned()),
            false => {
                let certificate = Certificate { cert_data: anchor.der.clone() };
                ("root", certificates::name(&Credential::X509 { certificates: vec![certificate] }))
            }
        };
        report = report.line(format!("{done}{name}")).line(format!("  SHA-256 {fingerprint}"));
        trusted.push(json!({ "kind": kind, "name": name, "fingerprint": fingerprint }));
    }
    Ok(report.fact("trusted", trusted))
}
