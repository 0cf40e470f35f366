//! Notes which rows of `spec/` a test has shown, for `cargo xtask requirements`.
//!
//! The two macros take the error that came out of the code under test and ask it for its rows. So a note is made only
//! where an error has named the row. They know an error by its method `requirements()`, so that the protocol's
//! own unit tests can use them as well.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::{env, process};

/// Where the notes go. Without it, none are made.
pub const FOLDER: &str = "HUSHWOOD_ROWS";

/// This error, and no other, comes out, and it names these rows.
///
/// ```
/// use hushwood::error::{Error, Violation};
/// use test_support::assert_breaks;
///
/// let refused: Result<(), Error> = Err(Violation::PathMissing.into());
/// assert_breaks!(refused.unwrap_err(), Violation::PathMissing, "C296", "C297");
/// ```
#[macro_export]
macro_rules! assert_breaks {
    ($error:expr, $expected:expr, $($row:expr),+ $(,)?) => {{
        let error = $error;
        assert_eq!(error, $expected.into());
        $( $crate::assert_names!(error, $row); )+
    }};
}

/// The error names this row, whichever error it is.
#[macro_export]
macro_rules! assert_names {
    ($error:expr, $row:expr) => {{
        let row = $row;
        let rows = $error.requirements();
        assert!(rows.iter().any(|named| named.0 == row), "{row} is not among {rows:?}");
        $crate::rows::note(row);
    }};
}

/// Notes that the running test has shown a row. Only the macros call it.
pub fn note(row: &str) {
    let Some(folder) = env::var_os(FOLDER) else { return };
    // nextest runs each test in a process of its own and says which it is.
    let binary = env::var("NEXTEST_BINARY_ID").expect("nextest names the binary");
    let test = env::var("NEXTEST_TEST_NAME").expect("nextest names the test");
    let file = Path::new(&folder).join(process::id().to_string());
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("the folder is there");
    writeln!(file, "{binary} {test} {row}").expect("a line is written");
}
