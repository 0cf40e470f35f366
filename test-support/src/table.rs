//! What a run over test vectors comes to, as rows of a table.

use std::fmt;

/// One line of the table: a set of cases, tried with one provider.
#[derive(Clone, Debug)]
pub struct Row {
    /// The set, such as `wycheproof/x25519`.
    pub name: String,
    /// The provider's name.
    pub provider: &'static str,
    /// How many cases went as they should.
    pub passed: usize,
    /// The others: which, and what went wrong.
    pub failed: Vec<String>,
    /// Cases that do not apply, such as nonces of a length that MLS does not use.
    pub skipped: usize,
}

impl Row {
    /// A row without cases.
    #[must_use]
    pub fn new(name: impl Into<String>, provider: &'static str) -> Self {
        Self { name: name.into(), provider, passed: 0, failed: Vec::new(), skipped: 0 }
    }

    /// Counts a case that went as it should if `good`, and otherwise notes which it was.
    pub fn case(&mut self, good: bool, which: impl FnOnce() -> String) {
        if good {
            self.passed += 1;
        } else {
            self.failed.push(which());
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, provider, passed, failed, skipped } = self;
        write!(
            f,
            "{name:<44} {provider:<12} {passed:>6} passed {:>4} failed {skipped:>5} skipped",
            failed.len()
        )
    }
}

/// Prints the rows, and fails a test if any has a failed case, or if they have fewer than `least` passed
/// cases together.
///
/// # Panics
/// In these cases.
pub fn assert_passed(rows: &[Row], least: usize) {
    rows.iter().for_each(|row| println!("{row}"));
    let failed: Vec<_> =
        rows.iter().flat_map(|row| row.failed.iter().map(|case| format!("{}: {case}", row.name))).collect();
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
    let passed: usize = rows.iter().map(|row| row.passed).sum();
    assert!(passed >= least, "only {passed} cases ran, expected {least}");
}
