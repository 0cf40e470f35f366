//! What came of it: a table, every kind of failure with the command that repeats it, times, and all of it as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cast::Case;
use crate::client::{Client, Times};
use crate::play::{Failure, Verdict};
use crate::random;
use crate::run::Played;

/// A run, to be shown.
pub struct Report<'a> {
    /// Who played.
    pub clients: &'a [Client],
    /// What.
    pub played: &'a [Played],
    /// What repeats a run like this, up to where cases are selected: the program and the clients.
    pub again: &'a str,
    /// What random conversations and assignments were drawn from.
    pub seed: u64,
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// As they should.
    pub passed: usize,
    /// Otherwise.
    pub failed: usize,
    /// Early, as a client does not have something.
    pub unsupported: usize,
    /// Not at all.
    pub not_played: usize,
}

impl Report<'_> {
    /// Everything that is printed. `by_script` gives each variant a row of its own.
    pub fn text(&self, by_script: bool, times: bool) -> String {
        let mut text = self.who();
        text.push('\n');
        text.push_str(&self.table(by_script));
        text.push_str(&self.failures());
        text.push_str(&self.unsupported());
        text.push('\n');
        text.push_str(&self.totals_by_client());
        if times {
            text.push('\n');
            text.push_str(&self.times_by_call());
        }
        let _ = writeln!(text, "\ntotals: {}", self.counts());
        text
    }

    /// All cases.
    pub fn counts(&self) -> Counts {
        Counts::of(self.played.iter().map(|played| &played.verdict))
    }

    /// The run for machines: clients with their times, and every case with its result.
    pub fn json(&self) -> Value {
        let clients = self.clients.iter().enumerate().map(|(position, client)| {
            let times = client.times();
            let calls = times.iter().map(|(rpc, times)| ((*rpc).to_owned(), times_as_json(*times)));
            json!({
                "number": number(position),
                "name": client.name,
                "address": client.address,
                "suites": client.suites,
                "all_calls": times_as_json(sum(times.values())),
                "calls": calls.collect::<serde_json::Map<_, _>>(),
            })
        });
        let counts = self.counts();
        json!({
            "clients": clients.collect::<Vec<_>>(),
            "seed": self.seed,
            "passed": counts.passed,
            "failed": counts.failed,
            "unsupported": counts.unsupported,
            "not_played": counts.not_played,
            "cases": self.played.iter().map(|played| self.case_as_json(played)).collect::<Vec<_>>(),
        })
    }

    fn case_as_json(&self, played: &Played) -> Value {
        let Played { case, verdict, took } = played;
        let roles =
            case.roles.iter().map(|(actor, client)| (actor.name().to_owned(), json!(number(*client))));
        let mut value = json!({
            "scenario": case.script.scenario,
            "variant": case.script.name,
            "suite": case.suite,
            "handshakes": case.handshakes.name(),
            "roles": roles.collect::<serde_json::Map<_, _>>(),
            "result": verdict.name(),
            "seconds": took.as_secs_f64(),
        });
        if let (Verdict::Failed(failure) | Verdict::Unsupported(failure), Some(fields)) =
            (verdict, value.as_object_mut())
        {
            let Failure { step, trouble } = failure;
            fields.insert("step".into(), json!(number(*step)));
            fields.insert("step_text".into(), json!(self.step(case, *step)));
            fields.insert("actor".into(), json!(trouble.at.as_ref().map(|(actor, _)| actor.name())));
            fields.insert("client".into(), json!(trouble.at.as_ref().map(|(_, client)| number(*client))));
            fields.insert("call".into(), json!(trouble.rpc));
            fields.insert("message".into(), json!(trouble.what.to_string()));
            fields.insert("again".into(), json!(self.command(case)));
        }
        value
    }

    fn who(&self) -> String {
        let mut lines = vec![row(["client", "name", "address", "suites"])];
        for (position, client) in self.clients.iter().enumerate() {
            let suites: Vec<_> = client.suites.iter().map(ToString::to_string).collect();
            lines.push(row([
                &number(position).to_string(),
                &client.name,
                &client.address,
                &suites.join(" "),
            ]));
        }
        aligned(&lines)
    }

    /// A row for each scenario and suite, a column for each set of clients that played together.
    fn table(&self, by_script: bool) -> String {
        let sets: BTreeSet<_> = self.played.iter().map(|played| together(&played.case)).collect();
        let mut rows: BTreeMap<_, BTreeMap<_, Vec<&Verdict>>> = BTreeMap::new();
        let mut order: Vec<String> = Vec::new();
        for played in self.played {
            let script = &played.case.script;
            let name = if by_script { script.full_name() } else { script.scenario.to_owned() };
            let place = order.iter().position(|other| *other == name).unwrap_or_else(|| {
                order.push(name.clone());
                order.len().saturating_sub(1)
            });
            let cells = rows.entry((place, played.case.suite)).or_default();
            cells.entry(together(&played.case)).or_default().push(&played.verdict);
        }
        let mut lines = vec![row(["scenario", "suite"])];
        if let Some(head) = lines.first_mut() {
            head.extend(sets.iter().map(|(_, clients)| clients.clone()));
        }
        for ((place, suite), cells) in &rows {
            let mut line = vec![order.get(*place).cloned().unwrap_or_default(), suite.to_string()];
            line.extend(sets.iter().map(|set| {
                let verdicts = cells.get(set).map(|verdicts| Counts::of(verdicts.iter().copied()));
                verdicts.map_or_else(String::new, |counts| counts.to_string())
            }));
            lines.push(line);
        }
        aligned(&lines)
    }

    /// Every kind of failure once, with the first case that has it.
    fn failures(&self) -> String {
        let mut kinds: Vec<(&Played, &Failure, usize)> = Vec::new();
        for played in self.played {
            let Verdict::Failed(failure) = &played.verdict else { continue };
            let alike = kinds.iter_mut().find(|(first, other, _)| {
                first.case.script == played.case.script
                    && other.step == failure.step
                    && other.trouble.rpc == failure.trouble.rpc
                    && other.trouble.what == failure.trouble.what
                    && other.trouble.at.as_ref().map(|(_, client)| client)
                        == failure.trouble.at.as_ref().map(|(_, client)| client)
            });
            match alike {
                Some((_, _, count)) => *count = count.saturating_add(1),
                None => kinds.push((played, failure, 1)),
            }
        }
        let mut text = String::new();
        for (played, Failure { step, trouble }, count) in kinds {
            let case = &played.case;
            let _ = writeln!(
                text,
                "\nFAILED {}, suite {}, {} handshakes, {}",
                case.script.full_name(),
                case.suite,
                case.handshakes.name(),
                roles(case, SHOWN_ROLES)
            );
            let _ = writeln!(text, "    {}", self.step(case, *step));
            let _ = writeln!(text, "    {}{}", self.place(trouble), trouble.what);
            let _ = writeln!(text, "    again: {}", self.command(case));
            if count > 1 {
                let _ = writeln!(text, "    and {} cases more like it (--json lists them)", count - 1);
            }
        }
        text
    }

    fn unsupported(&self) -> String {
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for played in self.played {
            if let Verdict::Unsupported(Failure { trouble, .. }) = &played.verdict {
                let client = trouble.at.as_ref().map(|(_, client)| self.client(*client));
                let kind = match (client, trouble.rpc) {
                    (Some(client), Some(rpc)) => format!("{client} does not have {rpc}"),
                    _ => trouble.what.to_string(),
                };
                let count = kinds.entry(kind).or_default();
                *count = count.saturating_add(1);
            }
        }
        let lines = kinds.iter().map(|(kind, count)| format!("\nunsupported: {kind} ({count} cases)\n"));
        lines.collect()
    }

    /// The step as people count it.
    fn step(&self, case: &Case, step: usize) -> String {
        let steps = case.script.steps();
        match steps.get(step) {
            Some(what) => format!("step {} of {}: {what}", number(step), steps.len()),
            None => format!("after the last of {} steps", steps.len()),
        }
    }

    fn place(&self, trouble: &crate::play::Trouble) -> String {
        let rpc = trouble.rpc.map_or_else(String::new, |rpc| format!("{rpc} "));
        match &trouble.at {
            Some((actor, client)) => format!("{rpc}at {} as {actor}: ", self.client(*client)),
            None => rpc,
        }
    }

    fn client(&self, position: usize) -> String {
        match self.clients.get(position) {
            Some(client) => format!("client {} ({}, {})", number(position), client.name, client.address),
            None => format!("client {}", number(position)),
        }
    }

    /// The command that plays exactly this case.
    fn command(&self, case: &Case) -> String {
        let mut command = format!(
            "{} --suites {} --scenario {} --handshakes {}",
            self.again,
            case.suite,
            case.script.full_name(),
            case.handshakes.name()
        );
        if case.script.scenario == random::SCENARIO {
            let _ = write!(command, " --seed {}", self.seed);
        } else {
            let _ = write!(command, " --roles {}", roles(case, usize::MAX));
        }
        command
    }

    fn totals_by_client(&self) -> String {
        let mut lines = vec![row(["client", "calls", "total s", "mean ms", "slowest ms", "which"])];
        for (position, client) in self.clients.iter().enumerate() {
            let times = client.times();
            let all = sum(times.values());
            let slowest = times.iter().max_by_key(|(_, times)| times.longest);
            lines.push(row([
                &number(position).to_string(),
                &all.calls.to_string(),
                &format!("{:.2}", all.total.as_secs_f64()),
                &milliseconds(all.mean()),
                &milliseconds(all.longest),
                slowest.map_or("", |(rpc, _)| rpc),
            ]));
        }
        aligned(&lines)
    }

    /// The mean and the longest time of each kind of call at each client.
    fn times_by_call(&self) -> String {
        let of: Vec<_> = self.clients.iter().map(Client::times).collect();
        let rpcs: BTreeSet<_> = of.iter().flat_map(BTreeMap::keys).collect();
        let mut head = vec!["mean / longest ms".to_owned()];
        head.extend((0..of.len()).map(|position| format!("client {}", number(position))));
        let mut lines = vec![head];
        for rpc in rpcs {
            let mut line = vec![(*rpc).to_owned()];
            line.extend(of.iter().map(|times| {
                let times = times.get(*rpc);
                times.map_or_else(String::new, |times| {
                    format!("{} / {}", milliseconds(times.mean()), milliseconds(times.longest))
                })
            }));
            lines.push(line);
        }
        aligned(&lines)
    }
}

/// The most roles that a heading shows.
const SHOWN_ROLES: usize = 9;

/// `alice=1,bob=2`, as `--roles` takes it.
fn roles(case: &Case, most: usize) -> String {
    let shown = case.roles.iter().take(most).map(|(actor, client)| format!("{actor}={}", number(*client)));
    let text = shown.collect::<Vec<_>>().join(",");
    let hidden = case.roles.len().saturating_sub(most);
    if hidden == 0 { text } else { format!("{text} and {hidden} more") }
}

/// The clients of a case, for a column: those of few clients first.
fn together(case: &Case) -> (usize, String) {
    let clients = case.clients();
    let names: Vec<_> = clients.iter().map(|client| number(*client).to_string()).collect();
    (clients.len(), names.join("+"))
}

/// Counted from 1, as people do.
fn number(position: usize) -> usize {
    position.saturating_add(1)
}

fn sum<'a>(times: impl Iterator<Item = &'a Times>) -> Times {
    times.fold(Times::default(), |sum, times| sum.with(*times))
}

fn times_as_json(times: Times) -> Value {
    json!({
        "calls": times.calls,
        "seconds": times.total.as_secs_f64(),
        "longest_seconds": times.longest.as_secs_f64(),
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

fn aligned(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        for (width, cell) in widths.iter().zip(line) {
            let _ = write!(text, "{cell:width$}  ");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

impl Verdict {
    /// As JSON has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Unsupported(_) => "unsupported",
            Self::Failed(_) => "failed",
            Self::NotPlayed => "not played",
        }
    }
}

impl Counts {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            let count = match verdict {
                Verdict::Passed => &mut counts.passed,
                Verdict::Failed(_) => &mut counts.failed,
                Verdict::Unsupported(_) => &mut counts.unsupported,
                Verdict::NotPlayed => &mut counts.not_played,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    /// True if everything was played and nothing failed.
    pub fn all_right(self) -> bool {
        self.failed == 0 && self.not_played == 0
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed", self.passed)?;
        for (count, name) in
            [(self.failed, "failed"), (self.unsupported, "unsupported"), (self.not_played, "not played")]
        {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        Ok(())
    }
}
