//! The table: a row for each scenario and suite, a column for each pair or each assignment of roles.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    peer::CipherSuite,
    random::Played,
    replay::Replayed,
    run::{Cast, Chat, Scene, Verdict},
    scenario::SCENARIOS,
};

/// What is printed and whether the run passed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The table, the details and, as last line, the totals.
    pub text: String,
    /// How many conversations diverged.
    pub failed: usize,
}

/// Lays out the results. With `roles`, a column is an assignment of roles instead of a pair.
pub fn report(scenes: &[Scene<'_>], chats: &[Chat], roles: bool) -> Report {
    let mut notes = Notes::default();
    let mut text = grid(scenes, roles, &mut notes);
    random_lines(chats, &mut notes, &mut text);
    for (number, reason) in notes.in_order() {
        let _ = writeln!(text, "[{number}] n/a: {reason}");
    }
    failures(scenes, chats, &mut text);
    let verdicts = scenes.iter().map(|s| &s.verdict).chain(chats.iter().map(|c| &c.verdict));
    totals(verdicts, text)
}

/// The last line.
fn totals<'v>(verdicts: impl Iterator<Item = &'v Verdict> + Clone, mut text: String) -> Report {
    let passed = verdicts.clone().filter(|v| matches!(v, Verdict::Pass)).count();
    let failed = verdicts.clone().filter(|v| matches!(v, Verdict::Fail(..))).count();
    let absent = verdicts.filter(|v| matches!(v, Verdict::NotAvailable(_))).count();
    let _ = writeln!(text, "total: {passed} pass, {absent} n/a, {failed} FAIL");
    Report { text, failed }
}

/// Lays out which peers could follow which vectors.
pub fn replay_report(replayed: &[Replayed<'_>]) -> Report {
    let mut notes = Notes::default();
    let mut columns: Vec<&str> = Vec::new();
    let mut rows: BTreeMap<(&str, CipherSuite), BTreeMap<&str, Vec<&Verdict>>> = BTreeMap::new();
    for Replayed { file, suite, peer, verdict, .. } in replayed {
        if !columns.contains(peer) {
            columns.push(peer);
        }
        rows.entry((file, *suite)).or_default().entry(peer).or_default().push(verdict);
    }
    let mut lines =
        vec![[""].into_iter().chain(columns.iter().copied()).map(str::to_owned).collect::<Vec<_>>()];
    for ((file, suite), cells) in &rows {
        let mut line = vec![format!("{file} / suite {}", suite.0)];
        let cell = |peer| cells.get(peer).map_or_else(String::new, |verdicts| cell(verdicts, &mut notes));
        line.extend(columns.iter().copied().map(cell));
        lines.push(line);
    }
    let mut text = aligned(&lines);
    for (number, reason) in notes.in_order() {
        let _ = writeln!(text, "[{number}] n/a: {reason}");
    }
    for Replayed { file, number, suite, peer, verdict } in replayed {
        if let Verdict::Fail(detail, _) = verdict {
            let _ = writeln!(text, "FAIL {file}, vector {number}, suite {}, {peer}", suite.0);
            explain(detail, &[], &mut text);
        }
    }
    totals(replayed.iter().map(|replayed| &replayed.verdict), text)
}

/// Numbers the reasons in the order in which they appear.
#[derive(Default)]
struct Notes(BTreeMap<String, usize>);

impl Notes {
    fn number(&mut self, reason: &str) -> usize {
        let next = self.0.len() + 1;
        *self.0.entry(reason.to_owned()).or_insert(next)
    }

    fn in_order(&self) -> Vec<(usize, &str)> {
        let mut notes: Vec<_> = self.0.iter().map(|(reason, number)| (*number, reason.as_str())).collect();
        notes.sort_unstable();
        notes
    }
}

fn grid(scenes: &[Scene<'_>], roles: bool, notes: &mut Notes) -> String {
    let mut columns: Vec<String> = Vec::new();
    let mut rows: BTreeMap<(usize, CipherSuite), BTreeMap<String, Vec<&Verdict>>> = BTreeMap::new();
    for Scene { cast, verdict } in scenes {
        let column = if roles { assignment(cast) } else { pair(cast) };
        if !columns.contains(&column) {
            columns.push(column.clone());
        }
        let place = SCENARIOS.iter().position(|scenario| scenario.name == cast.scenario.name);
        let row = rows.entry((place.unwrap_or(SCENARIOS.len()), cast.suite)).or_default();
        row.entry(column).or_default().push(verdict);
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut lines = vec![columns.clone()];
    if let Some(head) = lines.first_mut() {
        head.insert(0, String::new());
    }
    for ((place, suite), cells) in &rows {
        let scenario = SCENARIOS.get(*place).map_or("?", |scenario| scenario.name);
        let mut line = vec![format!("{scenario} / suite {}", suite.0)];
        let cell = |column| cells.get(column).map_or_else(String::new, |verdicts| cell(verdicts, notes));
        line.extend(columns.iter().map(cell));
        lines.push(line);
    }
    aligned(&lines)
}

fn aligned(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.len());
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

/// `pass` means every conversation of the cell; where only some could be played it says how many.
fn cell(verdicts: &[&Verdict], notes: &mut Notes) -> String {
    let mut passed = 0;
    let mut numbers = Vec::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Fail(..) => return "FAIL".into(),
            Verdict::Pass => passed += 1,
            Verdict::NotAvailable(reason) => numbers.push(notes.number(reason)),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let marks: String = numbers.iter().map(|number| format!("[{number}]")).collect();
    match (passed, numbers.is_empty()) {
        (_, true) => "pass".into(),
        (0, false) => format!("n/a {marks}"),
        (passed, false) => format!("pass {passed}/{}, n/a {marks}", verdicts.len()),
    }
}

fn pair(cast: &Cast<'_>) -> String {
    format!("{} x {}", cast.pair.0, cast.pair.1)
}

fn assignment(cast: &Cast<'_>) -> String {
    let roles = cast.roles;
    format!("{} > {} > {}", roles.creator.name(), roles.committer.name(), roles.joiner.name())
}

fn random_lines(chats: &[Chat], notes: &mut Notes, text: &mut String) {
    let mut by_suite: BTreeMap<_, Vec<&Chat>> = BTreeMap::new();
    for chat in chats {
        by_suite.entry(chat.played.as_ref().map(|played| played.suite)).or_default().push(chat);
    }
    for (suite, chats) in by_suite {
        let verdicts: Vec<_> = chats.iter().map(|chat| &chat.verdict).collect();
        let played = || chats.iter().filter_map(|chat| chat.played.as_ref());
        let name = suite.map_or_else(|| "random / ?".into(), |suite| format!("random / suite {}", suite.0));
        let _ = writeln!(
            text,
            "{name}: {} ({} conversations, {} epochs, {} messages{})",
            cell(&verdicts, notes),
            chats.len(),
            played().map(|played| played.epochs).sum::<u64>(),
            played().map(|played| played.messages).sum::<u64>(),
            skipped(played(), notes),
        );
    }
}

/// Single messages that are n/a inside conversations that went on.
fn skipped<'a>(played: impl Iterator<Item = &'a Played>, notes: &mut Notes) -> String {
    let mut by_reason: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in played.flat_map(|played| &played.skipped) {
        *by_reason.entry(reason).or_default() += count;
    }
    by_reason.into_iter().map(|(reason, count)| format!(", {count} n/a [{}]", notes.number(reason))).collect()
}

fn failures(scenes: &[Scene<'_>], chats: &[Chat], text: &mut String) {
    for Scene { cast, verdict } in scenes {
        if let Verdict::Fail(detail, steps) = verdict {
            let _ = writeln!(
                text,
                "FAIL {} / suite {} / {} handshakes / creator > committer > joiner: {}",
                cast.scenario.name,
                cast.suite.0,
                cast.handshake,
                assignment(cast)
            );
            explain(detail, steps, text);
        }
    }
    for Chat { seed, verdict, played } in chats {
        if let Verdict::Fail(detail, steps) = verdict {
            let suite = played.as_ref().map(|p| format!(", suite {}, {} handshakes", p.suite.0, p.handshake));
            let _ = writeln!(
                text,
                "FAIL random conversation, seed {seed}{} (again: --scenario none --random 1 --seed {seed})",
                suite.unwrap_or_default()
            );
            explain(detail, steps, text);
        }
    }
}

fn explain(detail: &str, steps: &[String], text: &mut String) {
    let _ = writeln!(text, "    {detail}");
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "    step {number}: {step}");
    }
}
